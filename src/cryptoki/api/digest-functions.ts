import * as digesting from "../chapters/digesting.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { DecryptionFunctions } from "./decryption-functions.ts";

/** Message digesting functions (PKCS#11 3.1 section 5.12). */
export abstract class DigestFunctions extends DecryptionFunctions {
  C_DigestInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null, signal?: AbortSignal): Promise<void> {
    return this.call("C_DigestInit", signal, digesting.digestInit, session, mechanism, signal);
  }

  C_Digest(session: CK_SESSION_HANDLE, data: Uint8Array, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_Digest", signal, digesting.digest, session, data, signal);
  }

  C_DigestUpdate(session: CK_SESSION_HANDLE, part: Uint8Array, signal?: AbortSignal): Promise<void> {
    return this.call("C_DigestUpdate", signal, digesting.digestUpdate, session, part, signal);
  }

  /** The value of a secret key is the next part of the message. */
  C_DigestKey(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE, signal?: AbortSignal): Promise<void> {
    return this.call("C_DigestKey", signal, digesting.digestKey, session, key, signal);
  }

  C_DigestFinal(session: CK_SESSION_HANDLE, signal?: AbortSignal): Promise<Uint8Array> {
    return this.call("C_DigestFinal", signal, digesting.digestFinal, session, signal);
  }
}
