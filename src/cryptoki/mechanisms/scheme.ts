import type { KeyPrimitive } from "../../card/index.ts";
import type { HashName, PublicKey } from "../../crypto/index.ts";

/** The private key of one operation, with whatever guards it. */
export interface KeyUser {
  readonly primitives: readonly KeyPrimitive[];
  use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
}

/** How a mechanism signs and verifies with one key. */
export interface SignatureScheme {
  /** The hash that the message goes through first; undefined if it is signed as it is. */
  readonly hash: HashName | undefined;
  /** The longest message without a hash, in bytes. */
  readonly maxMessage: number;
  /** In bytes. */
  readonly signatureLength: number;
  /**
   * @param message The message, or its hash.
   * @throws {CryptokiError} CKR_DATA_LEN_RANGE, CKR_DATA_INVALID.
   */
  sign(key: KeyUser, message: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Whether `signature`, which is {@link signatureLength} long, is the key's over `message`. Errors as {@link sign}. */
  verify(message: Uint8Array, signature: Uint8Array): boolean;
}

/** How a mechanism encrypts and decrypts with one key. */
export interface CipherScheme {
  /** The longest message, in bytes. */
  readonly maxMessage: number;
  /** The length of a ciphertext, in bytes. */
  readonly ciphertextLength: number;
  /** @throws {CryptokiError} CKR_DATA_LEN_RANGE. */
  encrypt(message: Uint8Array): Uint8Array;
  /** @throws {CryptokiError} CKR_ENCRYPTED_DATA_INVALID. */
  decrypt(key: KeyUser, ciphertext: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
}

/** How a mechanism makes a secret of a private key and what its parameter says. */
export interface AgreementScheme {
  /** The shared secret as the card gives it; the caller's to wipe. */
  agree(key: KeyUser, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * The bytes of the new key.
   * @param length What the template asks for; undefined if it leaves it to the mechanism.
   */
  derive(secret: Uint8Array, length: number | undefined): Uint8Array;
}

/** What makes the schemes of a family of mechanisms. A family has those that its mechanisms can do. */
export interface MechanismFamily {
  /** The type of its keys. */
  readonly keyType: PublicKey["type"];
  /** What a card must have of these, one at least, to do its part. */
  readonly primitives: readonly KeyPrimitive[];
  readonly signature?: SchemeMaker<SignatureScheme>;
  readonly cipher?: SchemeMaker<CipherScheme>;
  readonly agreement?: SchemeMaker<AgreementScheme>;
}

/**
 * Makes the scheme of one mechanism for one key.
 * @param hash Of the mechanism, if its name says one.
 * @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID; CKR_KEY_SIZE_RANGE if the key is too short;
 *   CKR_KEY_TYPE_INCONSISTENT if it is of another type.
 */
export type SchemeMaker<Scheme> = (publicKey: PublicKey, hash: HashName | undefined, parameter: unknown) => Scheme;
