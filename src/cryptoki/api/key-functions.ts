import type { Template } from "../attributes/kinds.ts";
import * as generating from "../functions/key-pair.ts";
import * as keys from "../functions/key.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { VerificationFunctions } from "./verification-functions.ts";

/** Key management functions (PKCS#11 3.1 section 5.18). */
export abstract class KeyFunctions extends VerificationFunctions {
  /**
   * Makes a key pair on the card, in the place that CKA_ID names, in place of the one that is there.
   * @param publicKeyTemplate CKA_MODULUS_BITS or CKA_EC_PARAMS, and CKA_ID.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN: a PIV card wants its management key first, C_Login with CKU.SO.
   */
  C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    publicKeyTemplate: Template,
    privateKeyTemplate: Template,
    signal?: AbortSignal,
  ): Promise<{ readonly publicKey: CK_OBJECT_HANDLE; readonly privateKey: CK_OBJECT_HANDLE }> {
    return this.call(
      "C_GenerateKeyPair",
      generating.generateKeyPair,
      session,
      mechanism,
      publicKeyTemplate,
      privateKeyTemplate,
      signal,
    );
  }

  /** CKM_ECDH1_DERIVE with a card's key makes a secret key that ends with the session. */
  C_DeriveKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    baseKey: CK_OBJECT_HANDLE,
    template: Template,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.call("C_DeriveKey", keys.deriveKey, session, mechanism, baseKey, template, signal);
  }
}
