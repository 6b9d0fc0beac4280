import { fromUtf8, wipe } from "../bytes/index.ts";
import { digest, digestInfo, hashLength, truncateDigest } from "../crypto/index.ts";
import { type CK_MECHANISM, CKM, CKZ } from "../cryptoki/index.ts";
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
import type { StoredKey } from "./stored-key.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";

/** Input and mechanism for the token's signature. */
interface SignatureJob {
  readonly mechanism: CK_MECHANISM;
  readonly input: Uint8Array;
}

/**
 * Signs with a token's key. The host hashes, so that a long message costs no more exchanges, and the mechanism is one
 * that every module supports. An ECDSA signature is r || s.
 */
export async function sign(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  data: BufferSource,
): Promise<ArrayBuffer> {
  const stored = TokenCryptoKey.require(key, algorithm, "sign");
  const { mechanism, input } = jobFor(key.algorithm, algorithm, copyOf(data));
  return toArrayBuffer(await stored.sign(mechanism, input));
}

function jobFor(key: TokenKeyAlgorithm, parameters: unknown, message: Uint8Array): SignatureJob {
  switch (key.name) {
    case "RSASSA-PKCS1-v1_5": {
      const { hash } = hashOf(key.hash);
      return { mechanism: { mechanism: CKM.RSA_PKCS }, input: digestInfo(hash, digest(hash, message)) };
    }
    case "RSA-PSS": {
      const { hash, mechanism: hashAlg, mgf } = hashOf(key.hash);
      const sLen = saltLength(parameters, key.modulusLength, hashLength(hash));
      return {
        mechanism: { mechanism: CKM.RSA_PKCS_PSS, parameter: { hashAlg, mgf, sLen } },
        input: digest(hash, message),
      };
    }
    case "ECDSA": {
      const { hash } = hashOf(memberOf(parameters, "hash"));
      return {
        mechanism: { mechanism: CKM.ECDSA },
        input: truncateDigest(digest(hash, message), key.namedCurve),
      };
    }
    case "Ed25519":
      return { mechanism: { mechanism: CKM.EDDSA }, input: message };
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
  const stored: StoredKey = TokenCryptoKey.require(key, algorithm, usage);
  return stored.decrypt(mechanismFor(key.algorithm, algorithm), copyOf(data));
}

function mechanismFor(key: TokenKeyAlgorithm, parameters: unknown): CK_MECHANISM {
  if (key.name !== "RSA-OAEP") throw refusal("InvalidAccessError", `${key.name} does not decrypt`);
  const { mechanism: hashAlg, mgf } = hashOf(key.hash);
  const label = labelOf(parameters);
  return {
    mechanism: CKM.RSA_PKCS_OAEP,
    parameter: { hashAlg, mgf, source: CKZ.DATA_SPECIFIED, ...(label && { pSourceData: label }) },
  };
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
