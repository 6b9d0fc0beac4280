import * as digesting from "../functions/digest.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { DecryptionFunctions } from "./decryption-functions.ts";

/** Message digesting functions (PKCS#11 3.1 section 5.12). */
export abstract class DigestFunctions extends DecryptionFunctions {
  C_DigestInit(session: CK_SESSION_HANDLE, mechanism: CK_MECHANISM | null): Promise<void> {
    return this.call("C_DigestInit", digesting.digestInit, session, mechanism);
  }

  C_Digest(session: CK_SESSION_HANDLE, data: Uint8Array): Promise<Uint8Array> {
    return this.call("C_Digest", digesting.digest, session, data);
  }

  C_DigestUpdate(session: CK_SESSION_HANDLE, part: Uint8Array): Promise<void> {
    return this.call("C_DigestUpdate", digesting.digestUpdate, session, part);
  }

  /** The value of a secret key is the next part of the message. */
  C_DigestKey(session: CK_SESSION_HANDLE, key: CK_OBJECT_HANDLE): Promise<void> {
    return this.call("C_DigestKey", digesting.digestKey, session, key);
  }

  C_DigestFinal(session: CK_SESSION_HANDLE): Promise<Uint8Array> {
    return this.call("C_DigestFinal", digesting.digestFinal, session);
  }
}
