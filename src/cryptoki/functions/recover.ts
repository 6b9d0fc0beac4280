import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import type { CK_MECHANISM } from "../structures.ts";
import { initialise } from "./initialise.ts";
import { recoverOperation, signOperation } from "./key-operation.ts";

export function signRecoverInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
  signal?: AbortSignal,
): Promise<void> {
  return initialise({ application, handle, kind: "sign-recover", mechanism, signal }, (session, wanted) =>
    signOperation({ application, session, use: "sign-recover", mechanism: wanted, key }),
  );
}

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

export function verifyRecoverInit(
  application: Application,
  handle: number,
  mechanism: CK_MECHANISM | null,
  key: number,
  signal?: AbortSignal,
): Promise<void> {
  return initialise({ application, handle, kind: "verify-recover", mechanism, signal }, (session, wanted) =>
    recoverOperation({ application, session, use: "verify-recover", mechanism: wanted, key }),
  );
}

export function verifyRecover(application: Application, handle: number, signature: Uint8Array): Promise<Uint8Array> {
  return application.inSession(handle, ({ operations }) =>
    operations.finish("verify-recover", ({ stream }) => {
      requireBytes(signature, "the signature");
      return stream.recover(signature);
    }),
  );
}
