import * as dual from "../chapters/dual.ts";
import type { CK_SESSION_HANDLE } from "../structures.ts";
import { VerificationFunctions } from "./verification-functions.ts";

/** Dual-function cryptographic functions (PKCS#11 3.1 section 5.17): a part for two operations. An error of one ends both. */
export abstract class DualFunctions extends VerificationFunctions {
  /** @returns The encrypted part. */
  C_DigestEncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_DigestEncryptUpdate", signal, dual.encryptAlso, session, "digest", part, signal);
  }

  /** @returns The decrypted part. */
  C_DecryptDigestUpdate(
    session: CK_SESSION_HANDLE,
    encryptedPart: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.call("C_DecryptDigestUpdate", signal, dual.decryptAlso, session, "digest", encryptedPart, signal);
  }

  /** @returns The encrypted part. */
  C_SignEncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_SignEncryptUpdate", signal, dual.encryptAlso, session, "sign", part, signal);
  }

  /** @returns The decrypted part. */
  C_DecryptVerifyUpdate(
    session: CK_SESSION_HANDLE,
    encryptedPart: Uint8Array,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.call("C_DecryptVerifyUpdate", signal, dual.decryptAlso, session, "verify", encryptedPart, signal);
  }
}
