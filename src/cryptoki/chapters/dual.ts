import type { CallOptions } from "../../async/index.ts";
import type { Application } from "../application.ts";
import type { OperationKind, Operations } from "../sessions/operations.ts";
import type { CK_SESSION_HANDLE } from "../structures.ts";
import { type Chapter, SESSION } from "../chapter.ts";
import { requireBytes } from "../errors.ts";
import { feed, transformPart } from "../mechanisms/operation.ts";

/**
 * Dual-function cryptographic functions (PKCS#11 3.1 section 5.17): one part for two operations. An error of one ends
 * both.
 */
export interface DualFunctions {
  /** @returns The encrypted part. */
  C_DigestEncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  /** @returns The decrypted part. */
  C_DecryptDigestUpdate(
    session: CK_SESSION_HANDLE,
    encryptedPart: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array>;

  /** @returns The encrypted part. */
  C_SignEncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, options?: CallOptions): Promise<Uint8Array>;

  /** @returns The decrypted part. */
  C_DecryptVerifyUpdate(
    session: CK_SESSION_HANDLE,
    encryptedPart: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array>;
}

// "The active digesting and encryption operations must both have been initialized ... an error of one ends both."

/** C_DigestEncryptUpdate, C_SignEncryptUpdate: a plaintext for both. */
function encryptAlso(
  application: Application,
  handle: number,
  other: "digest" | "sign",
  part: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      together(operations, other, "encrypt", async () => {
        const [first, second] = [operations.get(other).begin(), operations.get("encrypt").begin()];
        await feed(first, part, "the part");
        return transformPart(second, part);
      }),
    signal,
  );
}

/** C_DecryptDigestUpdate, C_DecryptVerifyUpdate: the other operation gets the decrypted part. */
function decryptAlso(
  application: Application,
  handle: number,
  other: "digest" | "verify",
  encryptedPart: Uint8Array,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  return application.inSession(
    handle,
    ({ operations }) =>
      together(operations, other, "decrypt", async () => {
        requireBytes(encryptedPart, "the encrypted part");
        const [first, second] = [operations.get("decrypt").begin(), operations.get(other).begin()];
        const part = await transformPart(first, encryptedPart);
        await feed(second, part, "the part");
        return part;
      }),
    signal,
  );
}

/** @throws {CryptokiError} CKR_OPERATION_NOT_INITIALIZED, which ends neither. */
async function together<T>(
  operations: Operations,
  one: OperationKind,
  other: OperationKind,
  work: () => Promise<T>,
): Promise<T> {
  operations.get(one);
  operations.get(other);
  try {
    return await work();
  } catch (error) {
    operations.cancel(one);
    operations.cancel(other);
    throw error;
  }
}

export const DUAL: Chapter<DualFunctions> = {
  title: "Dual functions",
  source: "PKCS#11 3.1 section 5.17",
  functions: {
    C_DigestEncryptUpdate: {
      state: "software",
      parameters: [SESSION, ["pPart", "secret"]],
      result: "bytes",
      body: (application, session, part, signal) => encryptAlso(application, session, "digest", part, signal),
    },
    C_DecryptDigestUpdate: {
      state: "software",
      parameters: [SESSION, ["pEncryptedPart", "bytes"]],
      result: "secret",
      body: (application, session, part, signal) => decryptAlso(application, session, "digest", part, signal),
    },
    C_SignEncryptUpdate: {
      state: "software",
      parameters: [SESSION, ["pPart", "secret"]],
      result: "bytes",
      body: (application, session, part, signal) => encryptAlso(application, session, "sign", part, signal),
    },
    C_DecryptVerifyUpdate: {
      state: "software",
      parameters: [SESSION, ["pEncryptedPart", "bytes"]],
      result: "secret",
      body: (application, session, part, signal) => decryptAlso(application, session, "verify", part, signal),
    },
  },
};
