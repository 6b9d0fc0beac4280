import { wipe } from "../bytes/index.ts";
import { PublicKey } from "../tokens/parts.ts";
import {
  type AlgorithmIdentifier,
  type CryptoKey,
  hashOf,
  host,
  hostSubtle,
  type KeyUsage,
  memberOf,
  nameOfAlgorithm,
  refusal,
  toArrayBuffer,
} from "./platform.ts";
import type { TokenKeyAlgorithm } from "./algorithms.ts";
import { TokenCryptoKey } from "./token-crypto-key.ts";

/**
 * Agrees on a secret with a token's key, ECDH or X25519, and returns its first `length` bits, or all for null.
 * @throws {DOMException} OperationError if it has fewer; InvalidAccessError for a public key of another type.
 */
export async function deriveBits(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  length: number | null,
): Promise<ArrayBuffer> {
  const secret = await agree("deriveBits", algorithm, key, length);
  const result = toArrayBuffer(secret);
  wipe(secret);
  return result;
}

/** Derives a key of the host in the same way. */
export async function deriveKey(
  algorithm: AlgorithmIdentifier,
  key: TokenCryptoKey,
  derived: AlgorithmIdentifier,
  extractable: boolean,
  usages: readonly KeyUsage[],
): Promise<CryptoKey> {
  const length = derivedLength(derived);
  const wanted = [...usages];
  const secret = await agree("deriveKey", algorithm, key, length);
  try {
    return await hostSubtle.importKey("raw", secret, derived, extractable, wanted);
  } finally {
    wipe(secret);
  }
}

async function agree(
  usage: KeyUsage,
  algorithm: unknown,
  key: TokenCryptoKey,
  length: number | null,
): Promise<Uint8Array> {
  const own = TokenCryptoKey.require(key, algorithm, usage);
  const secret = await own.deriveSecret(await otherKey(key.algorithm, memberOf(algorithm, "public")));
  try {
    return firstBits(secret, length ?? secret.length * 8);
  } finally {
    wipe(secret);
  }
}

/**
 * The other party's key.
 * @throws {TypeError} if it is not a key.
 * @throws {DOMException} InvalidAccessError if it does not match.
 */
async function otherKey(own: TokenKeyAlgorithm, other: unknown): Promise<PublicKey> {
  if (!isCryptoKey(other)) throw new TypeError(`${own.name} needs the other party's key in "public"`);
  if (other.type !== "public") throw refusal("InvalidAccessError", `"public" must be a public key`);
  if (other.algorithm.name !== own.name) throw refusal("InvalidAccessError", `"public" must be a key for ${own.name}`);
  if ("namedCurve" in own && memberOf(other.algorithm, "namedCurve") !== own.namedCurve) {
    throw refusal("InvalidAccessError", `"public" must be a key on ${own.namedCurve}`);
  }
  return new PublicKey(new Uint8Array(await host.subtle.exportKey("spki", other)));
}

function isCryptoKey(value: unknown): value is CryptoKey {
  return memberOf(value, "type") !== undefined && memberOf(value, "algorithm") !== undefined;
}

/** Copies the first bits; the unused bits of the last byte are zero. */
function firstBits(secret: Uint8Array, bits: number): Uint8Array {
  if (!Number.isInteger(bits) || bits < 0) throw new TypeError("the length must be a number of bits, or null");
  if (bits > secret.length * 8) {
    throw refusal("OperationError", `the shared secret has ${secret.length * 8} bits, not ${bits}`);
  }
  const taken = secret.slice(0, Math.ceil(bits / 8));
  const rest = bits % 8;
  const last = taken.at(-1);
  if (rest > 0 && last !== undefined) taken[taken.length - 1] = last & (0xff << (8 - rest));
  return taken;
}

/** In bytes: an HMAC key without a length is as long as the hash's block. */
const BLOCKS: ReadonlyMap<string, number> = new Map([
  ["SHA-1", 64],
  ["SHA-256", 64],
  ["SHA-384", 128],
  ["SHA-512", 128],
]);

/**
 * The number of bits of a key of an algorithm; null for algorithms that take any (Web Cryptography API, "get key
 * length").
 * @throws {DOMException} OperationError for a length that such keys cannot have; NotSupportedError for another
 *   algorithm.
 */
function derivedLength(algorithm: unknown): number | null {
  const name = nameOfAlgorithm(algorithm).toUpperCase();
  const length = memberOf(algorithm, "length");
  switch (name) {
    case "AES-CTR":
    case "AES-CBC":
    case "AES-GCM":
    case "AES-KW":
      if (length === 128 || length === 192 || length === 256) return length;
      throw refusal("OperationError", `a key for ${name} has 128, 192 or 256 bits`);
    case "HMAC":
      if (length === undefined) return 8 * (BLOCKS.get(hashOf(memberOf(algorithm, "hash")).name) ?? 64);
      if (typeof length === "number" && Number.isInteger(length) && length > 0) return length;
      throw new TypeError("the length of an HMAC key must be a number of bits");
    case "HKDF":
    case "PBKDF2":
      return null;
    default:
      throw refusal("NotSupportedError", `${name}: keys of this kind cannot be derived`);
  }
}
