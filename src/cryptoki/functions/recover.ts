import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { keyedInit } from "./initialise.ts";
import { recoverOperation, signOperation } from "./key-operation.ts";

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
