import * as decrypting from "../chapters/encryption.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { EncryptionFunctions } from "./encryption-functions.ts";

/** Decryption functions (PKCS#11 3.1 section 5.10). */
export abstract class DecryptionFunctions extends EncryptionFunctions {
  C_DecryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_DecryptInit", signal, decrypting.decryptInit, session, mechanism, key, signal);
  }

  /** With CKM_RSA_PKCS, padding that is wrong gives other bytes and no error: there is no oracle to ask. */
  C_Decrypt(session: CK_SESSION_HANDLE, encryptedData: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_Decrypt", signal, decrypting.decrypt, session, encryptedData, signal);
  }

  C_DecryptUpdate(session: CK_SESSION_HANDLE, encryptedPart: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_DecryptUpdate", signal, decrypting.decryptUpdate, session, encryptedPart, signal);
  }

  C_DecryptFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_DecryptFinal", signal, decrypting.decryptFinal, session, signal);
  }
}
