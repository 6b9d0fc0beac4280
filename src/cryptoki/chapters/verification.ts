import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import { keyedInit, verifyOperation } from "./key-use.ts";

export const verifyInit = keyedInit("verify", "verify", verifyOperation);

export function verify(
  application: Application,
  handle: number,
  data: Uint8Array,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) => {
      operations.get("verify").requireWhole();
      return operations.finish("verify", ({ stream }) => {
        requireBytes(data, "the data");
        requireBytes(signature, "the signature");
        stream.update(data);
        return stream.final(signature);
      });
    },
    signal,
  );
}

export function verifyUpdate(
  application: Application,
  handle: number,
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.step("verify", (operation) => {
        requireBytes(part, "the part");
        operation.begin().update(part);
      }),
    signal,
  );
}

export function verifyFinal(
  application: Application,
  handle: number,
  signature: Uint8Array,
  signal?: AbortSignal,
): Promise<void> {
  return application.inSession(
    handle,
    ({ operations }) =>
      operations.finish("verify", ({ stream }) => {
        requireBytes(signature, "the signature");
        return stream.final(signature);
      }),
    signal,
  );
}
