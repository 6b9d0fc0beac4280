import { createECDH, createPrivateKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { DataError, fromHex, toHex } from "../../bytes/index.ts";

const toNumber = (bytes: Uint8Array): bigint => BigInt(`0x0${toHex(bytes)}`);

function toField(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex").toString("base64url");
}

/**
 * The RSA key that has these primes, and d mod (p - 1) as its exponent there: e and all else follow.
 * @throws {DataError} if there is no such key.
 */
export function rsaKeyOf(prime1: Uint8Array, prime2: Uint8Array, exponent1: Uint8Array): KeyObject {
  const [p, q, dp] = [toNumber(prime1), toNumber(prime2), toNumber(exponent1)];
  if (p < 3n || q < 3n) throw new DataError("RSA key: a prime below 3");
  const e = inverse(dp, p - 1n);
  const d = inverse(e, (p - 1n) * (q - 1n));
  const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
  const key = Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, toField(value)]));
  return create({ kty: "RSA", ...key });
}

/** Curves by the length of their secret numbers. */
const CURVES: ReadonlyMap<number, { readonly crv: string; readonly curve: string }> = new Map([
  [32, { crv: "P-256", curve: "prime256v1" }],
  [48, { crv: "P-384", curve: "secp384r1" }],
  [66, { crv: "P-521", curve: "secp521r1" }],
]);

/**
 * The EC key with this secret number, of P-256 if it has 32 bytes, of P-384 if 48, of P-521 if 66.
 * @throws {DataError} if there is no such key.
 */
export function ecKeyOf(secret: Uint8Array): KeyObject {
  const found = CURVES.get(secret.length);
  if (!found) throw new DataError(`EC key: a number of ${secret.length} bytes is of none of P-256, P-384, P-521`);
  const field = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
  const ecdh = createECDH(found.curve);
  try {
    ecdh.setPrivateKey(secret);
  } catch (cause) {
    throw new DataError("EC key: the number is not below the order of the curve", { cause });
  }
  const point = ecdh.getPublicKey();
  const [x, y] = [point.subarray(1, 1 + secret.length), point.subarray(1 + secret.length)];
  return create({ kty: "EC", crv: found.crv, d: field(secret), x: field(x), y: field(y) });
}

/** PrivateKeyInfo of keys on Curve25519, up to the 32 bytes of the key (RFC 8410 section 7). */
const PRIVATE_KEY_INFO = { ed25519: "302e020100300506032b657004220420", x25519: "302e020100300506032b656e04220420" };

/**
 * The Ed25519 key with this secret, 32 bytes (RFC 8032 section 5.1.5).
 * @throws {DataError} if it has another length.
 */
export const ed25519KeyOf = (secret: Uint8Array): KeyObject => curve25519KeyOf(PRIVATE_KEY_INFO.ed25519, secret);

/**
 * The X25519 key with this secret, 32 bytes (RFC 7748 section 5).
 * @throws {DataError} if it has another length.
 */
export const x25519KeyOf = (secret: Uint8Array): KeyObject => curve25519KeyOf(PRIVATE_KEY_INFO.x25519, secret);

function curve25519KeyOf(info: string, secret: Uint8Array): KeyObject {
  if (secret.length !== 32) throw new DataError(`card key: a secret of ${secret.length} bytes, 32 wanted`);
  const key = Buffer.concat([fromHex(info), secret]);
  return createPrivateKey({ format: "der", type: "pkcs8", key });
}

function create(key: JsonWebKey): KeyObject {
  try {
    return createPrivateKey({ format: "jwk", key });
  } catch (cause) {
    throw new DataError("card key: the numbers are not those of one key", { cause });
  }
}

/** The inverse of `value` modulo `modulus`, by Euclid's algorithm. @throws {DataError} if there is none. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [rest, divisor] = [value % modulus, modulus];
  let [x, next] = [1n, 0n];
  while (divisor > 0n) {
    const quotient = rest / divisor;
    [rest, divisor] = [divisor, rest - quotient * divisor];
    [x, next] = [next, x - quotient * next];
  }
  if (rest !== 1n) throw new DataError("card key: the numbers are not those of one key");
  return ((x % modulus) + modulus) % modulus;
}
