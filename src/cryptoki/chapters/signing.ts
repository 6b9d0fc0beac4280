import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { keyedInit, recoverOperation, signOperation } from "./key-use.ts";

export const signInit = keyedInit("sign", "sign", signOperation);

export function sign(
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get("sign").requireWhole();
      return operations.finish("sign", ({ stream }) => {
        requireBytes(data, "the data");
        stream.update(data);
        return stream.final(signal);
      });
    },
    signal,
  );
}

export function signUpdate(
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.step("sign", (operation) => {
        requireBytes(part, "the part");
        operation.begin().update(part);
      }),
    signal,
  );
}

export function signFinal(application: Application, handle: number, signal?: AbortSignal): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) => operations.finish("sign", ({ stream }) => stream.final(signal)),
    signal,
  );
}

export const signRecoverInit = keyedInit("sign-recover", "sign-recover", signOperation);

export function signRecover(
  application: Application,
  handle: number,
  data: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.finish("sign-recover", ({ stream }) => {
        requireBytes(data, "the data");
        stream.update(data);
        return stream.final(signal);
      }),
    signal,
  );
}

export const verifyRecoverInit = keyedInit("verify-recover", "verify-recover", recoverOperation);

export function verifyRecover(
  application: Application,
  handle: number,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.finish("verify-recover", ({ stream }) => {
        requireBytes(signature, "the signature");
        return stream.recover(signature);
      }),
    signal,
  );
}
