import type { Template } from "../attributes/kinds.ts";
import type { AttributeList } from "../attributes/template.ts";
import { deriveKey, generateKey } from "../chapters/key-management.ts";
import { generateKeyPair, type KeyPair } from "../chapters/key-pairs.ts";
import { unwrapKey, wrapKey } from "../chapters/wrapping.ts";
import type { CK_MECHANISM, CK_OBJECT_HANDLE, CK_SESSION_HANDLE } from "../structures.ts";
import { MessageFunctions } from "./message-functions.ts";

/** Key management functions (PKCS#11 3.1 section 5.18). Errors of templates are those of {@link ObjectFunctions.C_CreateObject}. */
export abstract class KeyFunctions extends MessageFunctions {
  /** Makes a secret key that ends with the session. */
  C_GenerateKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.call("C_GenerateKey", signal, generateKey, session, mechanism, template, signal);
  }

  /**
   * Makes a key pair: for the session, or where both templates have CKA_TOKEN, on the card, in the place that CKA_ID names, in
   * place of the one that is there.
   * @param publicKeyTemplate CKA_MODULUS_BITS or CKA_EC_PARAMS; CKA_ID for the card.
   * @throws {CryptokiError} CKR_USER_NOT_LOGGED_IN: a PIV card wants its management key first, C_Login with CKU.SO.
   */
  C_GenerateKeyPair(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    publicKeyTemplate: Template | AttributeList,
    privateKeyTemplate: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<KeyPair> {
    return this.call(
      "C_GenerateKeyPair",
      signal,
      generateKeyPair,
      session,
      mechanism,
      publicKeyTemplate,
      privateKeyTemplate,
      signal,
    );
  }

  /**
   * Encrypts a key: a secret key with an RSA public key or a secret key, a private key (as PKCS #8) with a secret key.
   * @throws {CryptokiError} CKR_KEY_UNEXTRACTABLE, which every key of a card is; CKR_KEY_NOT_WRAPPABLE; CKR_KEY_SIZE_RANGE;
   *   CKR_WRAPPING_KEY_HANDLE_INVALID and its kin.
   */
  C_WrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    wrappingKey: CK_OBJECT_HANDLE,
    key: CK_OBJECT_HANDLE,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    return this.call("C_WrapKey", signal, wrapKey, session, mechanism, wrappingKey, key, signal);
  }

  /**
   * Decrypts a key, with a secret key or an RSA private key of the card or the session, and makes an object of it.
   * @param template CKA_CLASS, CKA_KEY_TYPE, and CKA_VALUE_LEN where nothing else says how long the key is.
   * @throws {CryptokiError} CKR_WRAPPED_KEY_INVALID; CKR_WRAPPED_KEY_LEN_RANGE; CKR_UNWRAPPING_KEY_HANDLE_INVALID and its kin.
   */
  C_UnwrapKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    unwrappingKey: CK_OBJECT_HANDLE,
    wrappedKey: Uint8Array,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.call("C_UnwrapKey", signal, unwrapKey, session, mechanism, unwrappingKey, wrappedKey, template, signal);
  }

  /** Makes a secret key of another key: with ECDH of a private key of the card or the session, with HKDF and its like of a secret key. */
  C_DeriveKey(
    session: CK_SESSION_HANDLE,
    mechanism: CK_MECHANISM,
    baseKey: CK_OBJECT_HANDLE,
    template: Template | AttributeList,
    signal?: AbortSignal,
  ): Promise<CK_OBJECT_HANDLE> {
    return this.call("C_DeriveKey", signal, deriveKey, session, mechanism, baseKey, template, signal);
  }
}
