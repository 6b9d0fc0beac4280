import * as encrypting from "../chapters/encryption.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { ObjectFunctions } from "./object-functions.ts";

/** Encryption functions (PKCS#11 3.1 section 5.8). A mechanism of null ends what is active, here as in every ...Init. */
export abstract class EncryptionFunctions extends ObjectFunctions {
  C_EncryptInit(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM | null,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<void> {
    return this.call("C_EncryptInit", signal, encrypting.encryptInit, session, mechanism, key, signal);
  }

  C_Encrypt(session: CK_SESSION_HANDLE, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_Encrypt", signal, encrypting.encrypt, session, data, signal);
  }

  C_EncryptUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_EncryptUpdate", signal, encrypting.encryptUpdate, session, part, signal);
  }

  C_EncryptFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_EncryptFinal", signal, encrypting.encryptFinal, session, signal);
  }
}
