import type { KeyPrimitive } from "../../card/index.ts";
import type { HashName, HostVerifier, KeyShape, RandomSource } from "../../crypto/index.ts";

/** The private key of one operation, with its login checks. */
export interface KeyUser {
  readonly primitives: readonly KeyPrimitive[];
  use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** ECDSA over a message that the host hashes; undefined if the key signs digests only. */
  ecdsaSigner?(hash: HashName): MessageSigner | undefined;
}

/** Hashes a message in parts, and signs it. */
export interface MessageSigner {
  update(part: Uint8Array): void;
  sign(signal?: AbortSignal): Promise<Uint8Array>;
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

// Operations. Input comes part by part; one-part functions are an update and a final. The code that ends an operation,
// with or without its result, calls wipe.

export interface Operation {
  /** Wipes the state. The stream cannot be used afterwards. */
  wipe(): void;
}

/** Makes a hash. */
export interface Digester extends Operation {
  update(part: Uint8Array): void;
  final(): Uint8Array;
  /** A copy of the state, for C_GetOperationState. */
  copy(): Digester;
}

/** Makes a signature or MAC. */
export interface Signer extends Operation {
  /** @throws {CryptokiError} CKR_DATA_LEN_RANGE for more input than key and mechanism allow. */
  update(part: Uint8Array): void;
  /** @throws {CryptokiError} CKR_DATA_LEN_RANGE, CKR_DATA_INVALID; CKR_USER_NOT_LOGGED_IN; the card's errors. */
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
  /** @returns The available output, perhaps empty. @throws {CryptokiError} as {@link final}. */
  update(part: Uint8Array): Uint8Array;
  /**
   * @throws {CryptokiError} CKR_DATA_LEN_RANGE; CKR_ENCRYPTED_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_INVALID; the card's
   *   errors.
   */
  final(signal?: AbortSignal): Uint8Array | Promise<Uint8Array>;
}

// Mechanisms with key pairs describe what surrounds the key's own arithmetic; `operation.ts` makes operations from it.

/** How a mechanism signs and verifies with one key pair. */
export interface SignatureScheme {
  /** The hash of the message; undefined if it is signed unhashed. */
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
  /** Whether a signature is plain ECDSA over the hash, which {@link KeyUser.ecdsaSigner} may make. */
  readonly isEcdsa?: boolean;
  /** Verifies a message that the host hashes; undefined if it verifies hashes only. */
  verifier?(): HostVerifier | undefined;
  /** Recovers the message from the signature. @throws {CryptokiError} CKR_SIGNATURE_INVALID. */
  recover?(signature: Uint8Array): Uint8Array;
}

/** How a mechanism encrypts and decrypts with one key pair: all output comes at the end. */
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

/** How a mechanism derives a secret from a private key and its parameter. */
export interface AgreementScheme {
  /** The shared secret from the card; the caller wipes it. */
  agree(key: KeyUser, signal?: AbortSignal): Promise<Uint8Array>;
  /**
   * The bytes of the new key.
   * @param length The template's; undefined to leave it to the mechanism.
   */
  derive(secret: Uint8Array, length: number | undefined): Uint8Array;
}

/**
 * Makes the scheme of one mechanism for one key pair.
 * @param key Its public half; for operations of the private half only the type and size, so that nothing is read
 *   unnecessarily.
 * @param hash Of the mechanism, if its name contains one.
 * @throws {CryptokiError} CKR_MECHANISM_PARAM_INVALID; CKR_KEY_SIZE_RANGE if the key is too short;
 *   CKR_KEY_TYPE_INCONSISTENT if it has another type.
 */
export type SchemeMaker<Scheme> = (key: KeyShape, hash: HashName | undefined, parameter: unknown) => Scheme;

/** Makes the schemes of mechanisms with one type of key pairs. A family has those that its mechanisms support. */
export interface MechanismFamily {
  /** CKK of its keys. */
  readonly keyTypes: readonly number[];
  /** The primitives of which a private key needs at least one. */
  readonly primitives: readonly KeyPrimitive[];
  /** CKF_EC_F_P and similar flags of every mechanism of the family. */
  readonly flags?: number;
  readonly signature?: SchemeMaker<SignatureScheme>;
  readonly cipher?: SchemeMaker<CipherScheme>;
  readonly agreement?: SchemeMaker<AgreementScheme>;
  /** Sizes of keys in bits that the host supports. */
  readonly sizes: KeySizes;
}

/** The bounds of CK_MECHANISM_INFO, in its unit: bits of RSA and EC keys, bytes of block ciphers' keys. */
export interface KeySizes {
  readonly min: number;
  readonly max: number;
}

/** A mechanism with a key pair: `family`, with the hash in its name. */
export interface PairMechanism {
  readonly kind: "pair";
  readonly type: number;
  readonly family: MechanismFamily;
  readonly hash?: HashName;
  /** Whether its signatures contain the message: C_SignRecover, C_VerifyRecover. */
  readonly recovers?: boolean;
}

/** A mechanism with a secret key of the host. Each maker throws CKR_MECHANISM_PARAM_INVALID and CKR_KEY_SIZE_RANGE. */
export interface SecretMechanism {
  readonly kind: "secret";
  readonly type: number;
  /** CKK of its keys. */
  readonly keyTypes: readonly number[];
  readonly sizes: KeySizes;
  readonly mac?: (key: SecretKey, parameter: unknown) => Signer;
  readonly encrypt?: (key: SecretKey, parameter: unknown) => Cipher;
  readonly decrypt?: (key: SecretKey, parameter: unknown) => Cipher;
  /** Whether its ciphers wrap and unwrap keys too. */
  readonly wraps?: boolean;
  /**
   * @param other Finds a second key that the parameter names.
   * @returns The bytes of a new key, or of a data object; `length` as in {@link AgreementScheme.derive}.
   */
  readonly derive?: (
    key: SecretKey,
    parameter: unknown,
    length: number | undefined,
    other: SecretKeyLookup,
  ) => Promise<Uint8Array>;
  /** Whether {@link derive} gives a CKO_DATA. */
  readonly derivesData?: boolean;
}

/** A hash alone. */
interface DigestMechanism {
  readonly kind: "digest";
  readonly type: number;
  readonly hash: HashName;
}

/** Arguments of C_GenerateKey. */
export interface GenerationRequest {
  /** CKA_KEY_TYPE, one of the mechanism's. */
  readonly keyType: number;
  /** CKA_VALUE_LEN in bytes; undefined if the template leaves it out. */
  readonly length: number | undefined;
  readonly parameter: unknown;
  /** Generates the bytes of a random key: by the host, or an engine of the application. */
  readonly random: RandomSource;
}

/** C_GenerateKey: generates secret keys. */
export interface GenerationMechanism {
  readonly kind: "generation";
  readonly type: number;
  /** CKK of the possible keys; the first is the default. */
  readonly keyTypes: readonly number[];
  readonly sizes: KeySizes;
  /**
   * @returns The new key's bytes, owned by the caller.
   * @throws {CryptokiError} CKR_TEMPLATE_INCOMPLETE without a required length; CKR_ATTRIBUTE_VALUE_INVALID for an
   *   impossible length; CKR_MECHANISM_PARAM_INVALID.
   */
  readonly generate: (request: GenerationRequest) => Promise<Uint8Array>;
}

/** C_GenerateKeyPair. The template gives the parameters: the modulus' bits, the curve. */
export interface PairGenerationMechanism {
  readonly kind: "pair-generation";
  readonly type: number;
  /** CKK of both keys. */
  readonly keyType: number;
  /** The primitives of which a card needs at least one to generate such keys. */
  readonly primitives: readonly KeyPrimitive[];
  readonly flags?: number;
  readonly sizes: KeySizes;
}

export type Mechanism =
  PairMechanism | SecretMechanism | DigestMechanism | GenerationMechanism | PairGenerationMechanism;
