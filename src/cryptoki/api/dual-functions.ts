import * as dual from "../functions/dual.ts";
import type { CK_SESSION_HANDLE } from "../structures.ts";
import { VerificationFunctions } from "./verification-functions.ts";

/** Dual-function cryptographic functions (PKCS#11 3.1 section 5.17): a part for two operations. An error of one ends both. */
export abstract class DualFunctions extends VerificationFunctions {
  /** @returns The encrypted part. */
  C_DigestEncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<Uint8Array> {
    return this.call("C_DigestEncryptUpdate", dual.encryptAlso, session, "digest", part);
  }

  /** @returns The decrypted part. */
  C_DecryptDigestUpdate(session: CK_SESSION_HANDLE, encryptedPart: Uint8Array): Promise<Uint8Array> {
    return this.call("C_DecryptDigestUpdate", dual.decryptAlso, session, "digest", encryptedPart);
  }

  /** @returns The encrypted part. */
  C_SignEncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<Uint8Array> {
    return this.call("C_SignEncryptUpdate", dual.encryptAlso, session, "sign", part);
  }

  /** @returns The decrypted part. */
  C_DecryptVerifyUpdate(session: CK_SESSION_HANDLE, encryptedPart: Uint8Array): Promise<Uint8Array> {
    return this.call("C_DecryptVerifyUpdate", dual.decryptAlso, session, "verify", encryptedPart);
  }
}
