import { DataError } from "../../bytes/index.ts";
import type { Curve25519, NamedCurve } from "../codec/elliptic-curve.ts";
import type { HashName } from "../codec/hashes.ts";
import type { EcPublicKey, EdwardsPublicKey, RsaPublicKey } from "../codec/public-key.ts";

/** What an implementation may compute in a thread of its own, or by an interface that is asynchronous. */
export type MaybePromise<T> = T | Promise<T>;

/**
 * The cryptography of the runtime, without which this package computes nothing. Node's is the default; another runtime installs its own
 * by `useHostCrypto`. Numbers and keys are bytes, most significant first.
 *
 * Hashes, MACs, ciphers, random numbers and the comparison are synchronous, because messages come in parts. What has no
 * implementation throws a DataError that says so.
 */
export interface HostCrypto {
  createHash(hash: HashName): HostHash;
  /** HMAC (RFC 2104). */
  createHmac(hash: HashName, key: Uint8Array): HostMac;
  /** Fills `bytes` from the cryptographic random number generator, and returns them. */
  fillRandom(bytes: Uint8Array): Uint8Array;
  /** Compares two secrets of the same length, in a time that does not depend on where they differ. */
  isSameSecret(a: Uint8Array, b: Uint8Array): boolean;
  /** A block cipher under way. The lengths of key and IV were checked. */
  createCipher(options: HostCipherOptions): BlockStream;
  /** AES-GCM (SP 800-38D); the tag comes last from `final`. @throws {DataError} for parameters that it does not take. */
  sealGcm(parameters: AeadParameters): BlockStream;
  /** The reverse of {@link sealGcm}. @throws {DataError} for parameters that it does not take. */
  openGcm(parameters: AeadParameters): OpeningStream;
  /** AES-CCM (SP 800-38C). @throws {DataError} for parameters that it does not take. */
  encryptCcm(parameters: AeadParameters, message: Uint8Array): SealedMessage;
  /** @throws {AuthenticationError} if the tag is not the message's; no plaintext is returned. */
  decryptCcm(parameters: AeadParameters, ciphertext: Uint8Array, tag: Uint8Array): Uint8Array;
  /** AES Key Wrap (RFC 3394), or with padding (RFC 5649). The length of `data` was checked. */
  wrapKey(padded: boolean, key: Uint8Array, data: Uint8Array, iv: Uint8Array): Uint8Array;
  /** @throws {DataError} if it was wrapped with another key, or changed. */
  unwrapKey(padded: boolean, key: Uint8Array, wrapped: Uint8Array, iv: Uint8Array): Uint8Array;
  /** PBKDF2 with HMAC (RFC 8018 section 5.2). @param length Of the key in bytes. */
  pbkdf2(
    hash: HashName,
    password: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number,
  ): MaybePromise<Uint8Array>;
  /** Decompresses gzip (RFC 1952) or zlib (RFC 1950). @throws {DataError} if it is damaged, or more than `maxLength` bytes come out. */
  gunzip(bytes: Uint8Array, maxLength: number): MaybePromise<Uint8Array>;
  /** block^e mod n. The block is as long as the modulus. @throws {DataError} if it is not less than the modulus. */
  rsaPublic(key: RsaPublicKey, block: Uint8Array): Uint8Array;
  /**
   * ECDSA over a message that the host hashes (FIPS 186-5 section 6.4.2). Optional: it makes verification faster.
   * @throws {DataError} for a key that is none.
   */
  createEcdsaVerifier?(key: EcPublicKey, hash: HashName): HostVerifier;
  /** Ed25519 (RFC 8032 section 5.1.7). @throws {DataError} for a key that is none. */
  verifyEddsa(key: EdwardsPublicKey, message: Uint8Array, signature: Uint8Array): MaybePromise<boolean>;
  /** @throws {DataError} if `form` is no key of a type that is known. */
  importPrivateKey(form: PrivateKeyForm): HostKey;
  /** @throws {DataError} for numbers that no key can have. */
  generateKey(kind: KeyKind): MaybePromise<HostKey>;
  /** Whether a number is prime, but for a chance of less than 2^-64. */
  isPrime(candidate: bigint): MaybePromise<boolean>;
}

/** A hash under way. */
export interface HostHash {
  update(part: Uint8Array): void;
  digest(): Uint8Array;
  /** The same state once more. */
  copy(): HostHash;
}

/** A MAC under way. */
export interface HostMac {
  update(part: Uint8Array): void;
  digest(): Uint8Array;
}

/** A verification under way. */
export interface HostVerifier {
  update(part: Uint8Array): void;
  /** Whether `signature` is the key's over all parts. @param signature r || s, each as long as the order. */
  verify(signature: Uint8Array): MaybePromise<boolean>;
}

/** A signature under way. */
export interface HostSigner {
  update(part: Uint8Array): void;
  /** @returns The signature of all parts: r || s, each as long as the order. */
  sign(): MaybePromise<Uint8Array>;
}

export interface HostCipherOptions {
  readonly direction: Direction;
  readonly cipher: BlockCipher;
  /** SP 800-38A sections 6.1, 6.2 and 6.5. */
  readonly mode: "ecb" | "cbc" | "ctr";
  /** AES: 16, 24 or 32 bytes. 3DES: 24. */
  readonly key: Uint8Array;
  /** As long as a block: the first counter block in counter mode. Undefined for ECB. */
  readonly iv: Uint8Array | undefined;
  /** PKCS #7. */
  readonly padding: boolean;
}

/** Block ciphers of card management keys; the length of the key tells AES-128, -192 and -256 apart. */
export type BlockCipher = "3des" | "aes";

export type Direction = "encrypt" | "decrypt";

/** A cipher under way: each part gives what can be given. */
export interface BlockStream {
  update(part: Uint8Array): Uint8Array;
  /** @throws {DataError} if what came in is no whole number of blocks, or its padding is wrong. */
  final(): Uint8Array;
}

/** A decryption under way whose tag comes last. */
export interface OpeningStream {
  /** @returns Plaintext that is not authenticated: keep it back until {@link final} returns, and wipe it if that throws. */
  update(part: Uint8Array): Uint8Array;
  /** @returns What is left of the plaintext, perhaps nothing. @throws {AuthenticationError} if the tag is not the message's. */
  final(tag: Uint8Array): Uint8Array;
}

export interface AeadParameters {
  readonly key: Uint8Array;
  /** GCM: 1 byte or more. CCM: 7 to 13. */
  readonly nonce: Uint8Array;
  /** Authenticated, not encrypted. */
  readonly additional: Uint8Array;
  /** Bytes of the tag. GCM: 4, 8, 12 to 16. CCM: 4, 6, ... 16. */
  readonly tagLength: number;
}

export interface SealedMessage {
  /** Without the tag. */
  readonly ciphertext: Uint8Array;
  readonly tag: Uint8Array;
}

/** A tag is not that of its message. */
export class AuthenticationError extends DataError {}

/** The numbers of an RSA private key (RFC 8017 section 3.2), most significant byte first. */
export interface RsaPrivateNumbers {
  readonly modulus: Uint8Array;
  readonly publicExponent: Uint8Array;
  readonly privateExponent: Uint8Array;
  readonly prime1: Uint8Array;
  readonly prime2: Uint8Array;
  readonly exponent1: Uint8Array;
  readonly exponent2: Uint8Array;
  readonly coefficient: Uint8Array;
}

/** The caller wipes what it gives. */
export type PrivateKeyForm =
  /** PrivateKeyInfo, DER, not encrypted (RFC 5958). */
  | { readonly pkcs8: Uint8Array }
  /** Numbers that belong together: that was checked. */
  | { readonly rsa: RsaPrivateNumbers }
  /** The secret number, as long as the order. */
  | { readonly curve: NamedCurve; readonly secret: Uint8Array };

export type KeyKind =
  | { readonly type: "rsa"; readonly modulusBits: number; readonly publicExponent: number }
  | { readonly type: "ec"; readonly curve: NamedCurve }
  | { readonly type: "25519"; readonly curve: Curve25519 };

/** A private key that the host keeps. What it exports is the caller's to wipe. */
export interface HostKey {
  /** SubjectPublicKeyInfo, DER. */
  publicKey(): Uint8Array;
  pkcs8(): Uint8Array;
  /** @throws {DataError} for a key that is not RSA. */
  rsaNumbers(): RsaPrivateNumbers;
  /** The secret number of an EC key, or the seed of a key on Curve25519. @throws {DataError} for another key. */
  secret(): Uint8Array;
  /** The bare RSA operation. @param block As long as the modulus. */
  rsaRaw(block: Uint8Array): MaybePromise<Uint8Array>;
  /** The shared secret. @param peer The other public key, SubjectPublicKeyInfo on the same curve. */
  agree(peer: Uint8Array): MaybePromise<Uint8Array>;
  /** ECDSA over a message that the host hashes (FIPS 186-5 section 6.4.1). Optional: it makes signing faster. */
  createEcdsaSigner?(hash: HashName): HostSigner;
  /** Ed25519 over a message. */
  signEddsa(message: Uint8Array): MaybePromise<Uint8Array>;
}
