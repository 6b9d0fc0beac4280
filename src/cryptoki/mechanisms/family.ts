import type { KeyPrimitive } from "../../card/index.ts";
import type { HashName, KeyShape, RandomSource } from "../../crypto/index.ts";

/** The private key of one operation, with whatever guards it. */
export interface KeyUser {
  readonly primitives: readonly KeyPrimitive[];
  use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
}

/** A secret key in this process. */
export interface SecretKey {
  /** CKK. */
  readonly keyType: number;
  /** The object's own bytes. @throws {CryptokiError} CKR_KEY_HANDLE_INVALID once the object is destroyed. */
  readonly value: Uint8Array;
}

/**
 * The secret key of a handle, for a derivation.
 * @throws {CryptokiError} CKR_KEY_HANDLE_INVALID, CKR_KEY_TYPE_INCONSISTENT, CKR_KEY_FUNCTION_NOT_PERMITTED.
 */
export type SecretKeyLookup = (handle: number) => SecretKey;

// Operations. What comes in is taken part by part; one-part functions are an update and a final. Whoever ends an operation, with
// or without its result, calls wipe.

export interface Operation {
  /** Overwrites what is kept. The stream is not used afterwards. */
  wipe(): void;
}

/** Makes a hash. */
export interface Digester extends Operation {
  update(part: Uint8Array): void;
  final(): Uint8Array;
  /** The same state once more, for C_GetOperationState. */
  copy(): Digester;
}

/** Makes a signature or MAC. */
export interface Signer extends Operation {
  /** @throws {CryptokiError} CKR_DATA_LEN_RANGE when more has come in than the key and mechanism take. */
  update(part: Uint8Array): void;
  /** @throws {CryptokiError} CKR_DATA_LEN_RANGE, CKR_DATA_INVALID; CKR_USER_NOT_LOGGED_IN; what the card throws. */
  final(signal?: AbortSignal): Uint8Array | Promise<Uint8Array>;
}

/** Verifies a signature or MAC. */
export interface Verifier extends Operation {
  update(part: Uint8Array): void;
  /** @throws {CryptokiError} CKR_SIGNATURE_LEN_RANGE, CKR_SIGNATURE_INVALID. */
  final(signature: Uint8Array): void | Promise<void>;
}

/** Encrypts or decrypts. */
export interface Cipher extends Operation {
  /** @returns What comes out so far, which may be nothing. @throws {CryptokiError} as {@link final}. */
  update(part: Uint8Array): Uint8Array;
  /** @throws {CryptokiError} CKR_DATA_LEN_RANGE; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID; what the card throws. */
  final(signal?: AbortSignal): Uint8Array | Promise<Uint8Array>;
}

// Mechanisms with key pairs say what is around the key's own arithmetic; `operation.ts` makes operations of it.

/** How a mechanism signs and verifies with one key pair. */
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
  verify(message: Uint8Array, signature: Uint8Array): boolean | Promise<boolean>;
  /** The message that was signed, where the signature holds it. @throws {CryptokiError} CKR_SIGNATURE_INVALID. */
  recover?(signature: Uint8Array): Uint8Array;
}

/** How a mechanism encrypts and decrypts with one key pair: all comes out at the end. */
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

/**
 * Makes the scheme of one mechanism for one key pair.
 * @param key Its public half, or for what the private half does only the type and size, so that nothing is read from a card in vain.
 * @param hash Of the mechanism, if its name says one.
 * @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID; CKR_KEY_SIZE_RANGE if the key is too short;
 *   CKR_KEY_TYPE_INCONSISTENT if it is of another type.
 */
export type SchemeMaker<Scheme> = (key: KeyShape, hash: HashName | undefined, parameter: unknown) => Scheme;

/** What makes the schemes of mechanisms with key pairs of one kind. A family has those that its mechanisms can do. */
export interface MechanismFamily {
  /** CKK of its keys. */
  readonly keyTypes: readonly number[];
  /** What a private key must have of these, one at least. */
  readonly primitives: readonly KeyPrimitive[];
  /** CKF_EC_F_P and the like, which stand with every mechanism of the family. */
  readonly flags?: number;
  readonly signature?: SchemeMaker<SignatureScheme>;
  readonly cipher?: SchemeMaker<CipherScheme>;
  readonly agreement?: SchemeMaker<AgreementScheme>;
  /** Sizes of keys in bits that the host computes with. */
  readonly sizes: KeySizes;
}

/** The bounds of CK_MECHANISM_INFO, in its unit: bits of RSA and EC keys, bytes of block ciphers' keys. */
export interface KeySizes {
  readonly min: number;
  readonly max: number;
}

/** A mechanism with a key pair: `family`, with the hash that its name says. */
export interface PairMechanism {
  readonly kind: "pair";
  readonly type: number;
  readonly family: MechanismFamily;
  readonly hash?: HashName;
  /** Its signatures hold the message: C_SignRecover, C_VerifyRecover. */
  readonly recovers?: boolean;
}

/** A mechanism with a secret key, which the host has. Each maker throws CKR_MECHANISM_PARAM_INVALID and CKR_KEY_SIZE_RANGE. */
export interface SecretMechanism {
  readonly kind: "secret";
  readonly type: number;
  /** CKK of the keys that it takes. */
  readonly keyTypes: readonly number[];
  readonly sizes: KeySizes;
  readonly mac?: (key: SecretKey, parameter: unknown) => Signer;
  readonly encrypt?: (key: SecretKey, parameter: unknown) => Cipher;
  readonly decrypt?: (key: SecretKey, parameter: unknown) => Cipher;
  /** Its ciphers wrap and unwrap keys too. */
  readonly wraps?: boolean;
  /**
   * @param other Finds the key that a parameter names besides.
   * @returns The bytes of a new key, or of a data object; `length` as in {@link AgreementScheme.derive}.
   */
  readonly derive?: (
    key: SecretKey,
    parameter: unknown,
    length: number | undefined,
    other: SecretKeyLookup,
  ) => Promise<Uint8Array>;
  /** What {@link derive} makes is a CKO_DATA. */
  readonly derivesData?: boolean;
}

/** A hash by itself. */
interface DigestMechanism {
  readonly kind: "digest";
  readonly type: number;
  readonly hash: HashName;
}

/** What C_GenerateKey is asked for. */
export interface GenerationRequest {
  /** CKA_KEY_TYPE, one of the mechanism's. */
  readonly keyType: number;
  /** CKA_VALUE_LEN in bytes; undefined if the template leaves it out. */
  readonly length: number | undefined;
  readonly parameter: unknown;
  /** Makes the bytes of a random key: the host, or an engine of the application. */
  readonly random: RandomSource;
}

/** C_GenerateKey: makes secret keys. */
export interface GenerationMechanism {
  readonly kind: "generation";
  readonly type: number;
  /** CKK of the keys that it can make; the first is what a template gets that names none. */
  readonly keyTypes: readonly number[];
  readonly sizes: KeySizes;
  /**
   * @returns The new key's bytes, the caller's own.
   * @throws {CryptokiError} CKR_TEMPLATE_INCOMPLETE without a length that it needs; CKR_ATTRIBUTE_VALUE_INVALID for a length
   *   that no such key has; CKR_MECHANISM_PARAM_INVALID.
   */
  readonly generate: (request: GenerationRequest) => Promise<Uint8Array>;
}

/** C_GenerateKeyPair. What it makes is said by the template: the modulus' bits, the curve. */
export interface PairGenerationMechanism {
  readonly kind: "pair-generation";
  readonly type: number;
  /** CKK of both keys. */
  readonly keyType: number;
  /** What a card must have of these, one at least, if it is to make such keys. */
  readonly primitives: readonly KeyPrimitive[];
  readonly flags?: number;
  readonly sizes: KeySizes;
}

export type Mechanism =
  PairMechanism | SecretMechanism | DigestMechanism | GenerationMechanism | PairGenerationMechanism;
