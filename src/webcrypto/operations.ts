import { fromUtf8, wipe } from "../bytes/index.ts";
import { hashLength } from "../crypto/index.ts";
import type { Encryption, SignatureScheme } from "../tokens/parts.ts";
import type { TokenKeyAlgorithm } from "./algorithms.ts";
import {
  type AlgorithmIdentifier,
  type BufferSource,
  copyOf,
  type CryptoKey,
  hashOf,
  hostSubtle,
  type JsonWebKey,
  type KeyFormat,
  type KeyUsage,
  memberOf,
  refusal,
  toArrayBuffer,
} from "./platform.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";

/**
 * Signs with a token's key. The host hashes, so that a long message costs no more exchanges, and the mechanism is one
 * that every module supports. An ECDSA signature is r || s.
 */
export async function sign(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<ArrayBuffer> {
  const own = TokenCryptoKey.require(key, algorithm, "sign");
  return toArrayBuffer(await own.sign(copyOf(data), schemeFor(key.algorithm, algorithm)));
}

function schemeFor(key: TokenKeyAlgorithm, parameters: unknown): SignatureScheme {
  switch (key.name) {
    case "RSASSA-PKCS1-v1_5":
      return { hash: hashOf(key.hash).name };
    case "RSA-PSS": {
      const { hash, name } = hashOf(key.hash);
      const length = saltLength(parameters, key.modulusLength, hashLength(hash));
      return { hash: name, padding: "pss", saltLength: length };
    }
    case "ECDSA":
      return { hash: hashOf(memberOf(parameters, "hash")).name };
    case "Ed25519":
      return {};
    default:
      throw refusal("InvalidAccessError", `${key.name} does not sign`);
  }
}

/**
 * @throws {TypeError} if the length is not valid.
 * @throws {DOMException} OperationError if it is too long for the key (RFC 8017 section 9.1.1).
 */
function saltLength(parameters: unknown, modulusLength: number, hashBytes: number): number {
  const length = memberOf(parameters, "saltLength");
  if (typeof length !== "number" || !Number.isInteger(length) || length < 0) {
    throw new TypeError("RSA-PSS needs saltLength, in bytes");
  }
  if (Math.ceil((modulusLength - 1) / 8) < hashBytes + length + 2) {
    throw refusal("OperationError", `a salt of ${length} bytes does not fit a key of ${modulusLength} bits`);
  }
  return length;
}

/** Decrypts with a token's RSA key: RSA-OAEP, with the key's hash also in the mask generation function. */
export async function decrypt(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<ArrayBuffer> {
  const plaintext = await decryptFor("decrypt", algorithm, key, data);
  const result = toArrayBuffer(plaintext);
  wipe(plaintext);
  return result;
}

/** As {@link decrypt}, for another usage of the key. The caller wipes the plaintext. */
function decryptFor(
  usage: KeyUsage,
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<Uint8Array> {
  const own = TokenCryptoKey.require(key, algorithm, usage);
  return own.decrypt(copyOf(data), encryptionFor(key.algorithm, algorithm));
}

function encryptionFor(key: TokenKeyAlgorithm, parameters: unknown): Encryption {
  if (key.name !== "RSA-OAEP") throw refusal("InvalidAccessError", `${key.name} does not decrypt`);
  const label = labelOf(parameters);
  return { hash: hashOf(key.hash).name, ...(label && { label }) };
}

/** The OAEP label, empty if left out. @throws {TypeError} if it is not a BufferSource. */
function labelOf(parameters: unknown): Uint8Array | undefined {
  const label = memberOf(parameters, "label");
  return label === undefined ? undefined : copyOf(label, "the label");
}

/** Properties of the unwrapped key. */
export interface UnwrappedKey {
  readonly format: KeyFormat;
  readonly algorithm: AlgorithmIdentifier;
  readonly extractable: boolean;
  readonly usages: KeyUsage[];
}

/**
 * Unwraps a key with a token's RSA key; the unwrapped key is the host's.
 * @throws {DOMException} DataError if it is malformed.
 */
export async function unwrapKey(
  algorithm: AlgorithmIdentifier,
  unwrappingKey: TokenCryptoKey,
  wrapped: BufferSource,
  { format, algorithm: imported, extractable, usages }: UnwrappedKey,
): Promise<CryptoKey> {
  const bytes = await decryptFor("unwrapKey", algorithm, unwrappingKey, wrapped);
  try {
    if (format === "jwk") return await hostSubtle.importKey(format, readJwk(bytes), imported, extractable, usages);
    return await hostSubtle.importKey(format, bytes, imported, extractable, usages);
  } finally {
    wipe(bytes);
  }
}

/** Web Cryptography API section 10, "parse a JWK". Messages never show the key's text. */
function readJwk(bytes: Uint8Array): JsonWebKey {
  try {
    const value: unknown = JSON.parse(fromUtf8(bytes));
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // The parser's message would show a part of the key.
  }
  throw refusal("DataError", "the unwrapped data is not a JSON Web Key");
}
