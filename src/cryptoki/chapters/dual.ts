import type { Application } from "../application.ts";
import { requireBytes } from "../arguments.ts";
import type { OperationKind, Operations } from "../sessions/operations.ts";

// "The active digesting and encryption operations must both have been initialized ... an error of one ends both."

/** C_DigestEncryptUpdate, C_SignEncryptUpdate: a plaintext for both. */
export function encryptAlso(
  application: Application,
  handle: number,
  other: "digest" | "sign",
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      together(operations, other, "encrypt", () => {
        requireBytes(part, "the part");
        operations.get(other).begin().update(part);
        return operations.get("encrypt").begin().update(part);
      }),
    signal,
  );
}

/** C_DecryptDigestUpdate, C_DecryptVerifyUpdate: what is decrypted is for the other. */
export function decryptAlso(
  application: Application,
  handle: number,
  other: "digest" | "verify",
  encryptedPart: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      together(operations, other, "decrypt", () => {
        requireBytes(encryptedPart, "the encrypted part");
        const part = operations.get("decrypt").begin().update(encryptedPart);
        operations.get(other).begin().update(part);
        return part;
      }),
    signal,
  );
}

/** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED, which ends neither. */
function together<T>(operations: Operations, one: OperationKind, other: OperationKind, work: () => T): T {
  operations.get(one);
  operations.get(other);
  try {
    return work();
  } catch (error) {
    operations.cancel(one);
    operations.cancel(other);
    throw error;
  }
}
