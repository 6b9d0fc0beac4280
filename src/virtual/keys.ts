import {
  constants,
  createECDH,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPair,
  type JsonWebKey,
  KeyObject,
  privateDecrypt,
  sign,
} from "node:crypto";
import { promisify } from "node:util";
import { encodeTlv } from "../apdu/index.ts";
import { inThreadPool } from "../async/index.ts";
import { concat, DataError, fromHex, toHex } from "../bytes/index.ts";

/** Kinds of key pair that the cards support; the last two are for PIV cards with Yubico's commands. */
export const KEY_TYPES = {
  "rsa-1024": { type: "rsa", bits: 1024 },
  "rsa-2048": { type: "rsa", bits: 2048 },
  "rsa-3072": { type: "rsa", bits: 3072 },
  "rsa-4096": { type: "rsa", bits: 4096 },
  "p-256": { type: "ec", bits: 256, curve: "prime256v1" },
  "p-384": { type: "ec", bits: 384, curve: "secp384r1" },
  ed25519: { type: "edwards", bits: 255, curve: "ed25519" },
  x25519: { type: "montgomery", bits: 255, curve: "x25519" },
} as const;

/** Further kinds on cards whose keys are files, in sizes that PIV does not have. */
export const FILE_KEY_TYPES = {
  ...KEY_TYPES,
  "rsa-512": { type: "rsa", bits: 512 },
  "rsa-768": { type: "rsa", bits: 768 },
  "rsa-1536": { type: "rsa", bits: 1536 },
  "p-521": { type: "ec", bits: 521, curve: "secp521r1" },
} as const;

export type KeyTypeName = keyof typeof KEY_TYPES;
export type KeyTypeInfo = (typeof FILE_KEY_TYPES)[keyof typeof FILE_KEY_TYPES];
export type EcKeyInfo = Extract<KeyTypeInfo, { type: "ec" }>;

/** Length in bytes of a coordinate and of a secret number. */
const fieldLength = ({ bits }: EcKeyInfo): number => Math.ceil(bits / 8);

/** Whether such keys are Ed25519 or X25519. */
export const isOnCurve25519 = ({ type }: KeyTypeInfo): boolean => type === "edwards" || type === "montgomery";

/** Orders of the base points (FIPS 186-4 appendix D.1.2). */
const ORDER = {
  prime256v1: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  secp384r1: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  secp521r1:
    0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
} as const;

/**
 * ECDSA over a given hash (FIPS 186-4 section 6.4), as the card command needs it; node:crypto has no such call, because
 * it always hashes. OpenSSL does the point arithmetic (a fresh ephemeral key gives k and kG); the rest is one line
 * modulo the order. That line is blinded but, with BigInt, not constant in time, so it is only suitable for a virtual
 * card, whose keys are open to its own process anyway.
 * @param secret The private scalar, big endian.
 * @param hash At most as long as the order.
 * @returns The DER signature, SEQUENCE { r, s }.
 */
function signHash(info: EcKeyInfo, secret: Uint8Array, hash: Uint8Array): Uint8Array {
  const { curve } = info;
  const n = ORDER[curve];
  const length = fieldLength(info);
  const d = toNumber(secret);
  const z = toNumber(hash);
  for (;;) {
    const k = randomScalar(curve, length);
    const blind = randomScalar(curve, length);
    const r = k.x % n;
    const s = (inverse((k.secret * blind.secret) % n, n) * ((blind.secret * z + ((blind.secret * r) % n) * d) % n)) % n;
    if (r !== 0n && s !== 0n) return encodeTlv(0x30, derInteger(r), derInteger(s));
  }
}

/** A scalar from 1 to n - 1, and the x coordinate of its point. */
function randomScalar(curve: EcKeyInfo["curve"], length: number): { secret: bigint; x: bigint } {
  const ecdh = createECDH(curve);
  const point = ecdh.generateKeys();
  return { secret: toNumber(ecdh.getPrivateKey()), x: toNumber(point.subarray(1, 1 + length)) };
}

/** 1 / value modulo n, by the extended Euclidean algorithm; value and n have no common factor. */
function inverse(value: bigint, n: bigint): bigint {
  let [r0, r1, t0, t1] = [n, value, 0n, 1n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1, t0, t1] = [r1, r0 - quotient * r1, t1, t0 - quotient * t1];
  }
  return t0 < 0n ? t0 + n : t0;
}

function derInteger(value: bigint): Uint8Array {
  const digits = value.toString(16);
  const bytes = fromHex(digits.padStart(digits.length + (digits.length % 2), "0"));
  return encodeTlv(0x02, (bytes[0] ?? 0) & 0x80 ? concat(Uint8Array.of(0), bytes) : bytes);
}

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x0${toHex(bytes)}`);
}

type KeyTypes = Readonly<Record<string, KeyTypeInfo>>;

/**
 * The kind of `key`.
 * @param types Those that the card supports.
 * @throws {DataError} if the card does not support it.
 */
export function describeKey(key: KeyObject, types: KeyTypes = KEY_TYPES): KeyTypeInfo {
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails ?? {};
  const found = Object.values(types).find((info) => {
    if (info.type === "rsa") return key.asymmetricKeyType === "rsa" && info.bits === modulusLength;
    if (info.type === "ec") return key.asymmetricKeyType === "ec" && info.curve === namedCurve;
    return key.asymmetricKeyType === info.curve;
  });
  if (found === undefined) {
    const kind = [key.asymmetricKeyType, modulusLength ?? namedCurve].filter(Boolean).join(" ");
    throw new DataError(`card key: ${kind} is not one of ${Object.keys(types).join(", ")}`);
  }
  if (found.type === "rsa" && (publicExponent ?? 0n) < 3n) throw new DataError("card key: public exponent below 3");
  return found;
}

/**
 * A private key that the card can hold.
 * @throws {DataError} if it cannot be parsed.
 */
export function parsePrivateKey(source: string | KeyObject, types?: KeyTypes): KeyObject {
  let key;
  try {
    key = source instanceof KeyObject ? source : createPrivateKey(source);
  } catch (cause) {
    throw new DataError("card key: not an unencrypted private key in PEM", { cause });
  }
  if (key.type !== "private") throw new DataError(`card key: a ${key.type} key instead of a private one`);
  describeKey(key, types);
  return key;
}

/**
 * input^d mod n.
 * @throws {DataError} unless `input` is as long as the modulus and smaller than it.
 */
export function rsaRaw(key: KeyObject, input: Uint8Array): Uint8Array {
  const length = (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  // OpenSSL would pad a shorter one.
  if (input.length !== length) throw new DataError(`RSA: ${input.length} bytes instead of ${length}`);
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, input);
  } catch (cause) {
    throw new DataError("RSA: the input is not smaller than the modulus", { cause });
  }
}

/**
 * The DER signature over a hash.
 * @throws {DataError} if `hash` is empty or longer than the order.
 */
export function ecdsa(key: KeyObject, info: EcKeyInfo, hash: Uint8Array): Uint8Array {
  if (hash.length === 0 || hash.length > fieldLength(info)) {
    throw new DataError(`ECDSA: a hash of ${hash.length} bytes; it has 1 to ${fieldLength(info)}`);
  }
  const secret = secretScalar(key);
  try {
    return signHash(info, secret, hash);
  } finally {
    secret.fill(0);
  }
}

/**
 * The x coordinate of the shared point (SP 800-56A section 5.7.1.2).
 * @throws {DataError} unless `point` is uncompressed and on the curve.
 */
export function ecdh(key: KeyObject, info: EcKeyInfo, point: Uint8Array): Uint8Array {
  if (point.length !== 1 + 2 * fieldLength(info) || point[0] !== 0x04)
    throw new DataError("ECDH: not an uncompressed point");
  const secret = secretScalar(key);
  try {
    const own = createECDH(info.curve);
    own.setPrivateKey(secret);
    return own.computeSecret(point);
  } catch (cause) {
    throw new DataError("ECDH: the point is not on the curve", { cause });
  } finally {
    secret.fill(0);
  }
}

/** The signature over a message, R and S in 64 bytes (RFC 8032). */
export function eddsa(key: KeyObject, message: Uint8Array): Uint8Array {
  return sign(null, message, key);
}

/**
 * The shared secret, 32 bytes (RFC 7748).
 * @throws {DataError} unless `point` is 32 bytes, and does not give an all-zero secret.
 */
export function x25519(key: KeyObject, point: Uint8Array): Uint8Array {
  if (point.length !== 32) throw new DataError(`X25519: a point of ${point.length} bytes instead of 32`);
  const x = Buffer.from(point).toString("base64url");
  try {
    const publicKey = createPublicKey({ key: { kty: "OKP", crv: "X25519", x }, format: "jwk" });
    return diffieHellman({ privateKey: key, publicKey });
  } catch (cause) {
    throw new DataError("X25519: the point gives an all-zero secret", { cause });
  }
}

/**
 * The public half of private `key` as in the answer to GENERATE ASYMMETRIC KEY PAIR: the content of 7F49 (SP 800-73-4
 * part 2 table 11).
 */
export function encodePublicKey(key: KeyObject): Uint8Array[] {
  const jwk = createPublicKey(key).export({ format: "jwk" });
  const field = (text: string | undefined): Uint8Array => Buffer.from(text ?? "", "base64url");
  if (jwk.kty === "RSA") return [encodeTlv(0x81, field(jwk.n)), encodeTlv(0x82, field(jwk.e))];
  if (jwk.kty === "OKP") return [encodeTlv(0x86, field(jwk.x))];
  return [encodeTlv(0x86, Uint8Array.of(0x04), field(jwk.x), field(jwk.y))];
}

function secretScalar(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: "jwk" }).d ?? "", "base64url");
}

const generate = promisify(generateKeyPair);

/** A fresh private key. */
export async function generateKey(info: KeyTypeInfo): Promise<KeyObject> {
  return (await inThreadPool(generatePair(info))).privateKey;
}

function generatePair(info: KeyTypeInfo): Promise<{ readonly privateKey: KeyObject }> {
  switch (info.type) {
    case "rsa":
      return generate("rsa", { modulusLength: info.bits });
    case "ec":
      return generate("ec", { namedCurve: info.curve });
    case "edwards":
      return generate("ed25519");
    case "montgomery":
      return generate("x25519");
  }
}

function toField(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), "0"), "hex").toString("base64url");
}

/**
 * The RSA key with these primes and d mod (p - 1): the other numbers, e too, are computed.
 * @throws {DataError} if there is no such key.
 */
export function rsaKeyOf(prime1: Uint8Array, prime2: Uint8Array, exponent1: Uint8Array): KeyObject {
  const [p, q, dp] = [toNumber(prime1), toNumber(prime2), toNumber(exponent1)];
  if (p < 3n || q < 3n) throw new DataError("RSA key: a prime below 3");
  const e = requireInverse(dp, p - 1n);
  const d = requireInverse(e, (p - 1n) * (q - 1n));
  const numbers = { n: p * q, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: requireInverse(q, p) };
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
 * The EC key with this secret number: on P-256 if it has 32 bytes, P-384 if 48, P-521 if 66.
 * @throws {DataError} if there is no such key.
 */
export function ecKeyOf(secret: Uint8Array): KeyObject {
  const found = CURVES.get(secret.length);
  if (!found)
    throw new DataError(`EC key: a number of ${secret.length} bytes does not belong to P-256, P-384 or P-521`);
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
  if (secret.length !== 32) throw new DataError(`card key: a secret of ${secret.length} bytes instead of 32`);
  const key = Buffer.concat([fromHex(info), secret]);
  return createPrivateKey({ format: "der", type: "pkcs8", key });
}

function create(key: JsonWebKey): KeyObject {
  try {
    return createPrivateKey({ format: "jwk", key });
  } catch (cause) {
    throw new DataError("card key: the numbers do not belong to one key", { cause });
  }
}

/** The inverse of `value` modulo `modulus`, by Euclid's algorithm. @throws {DataError} if there is none. */
function requireInverse(value: bigint, modulus: bigint): bigint {
  let [rest, divisor] = [value % modulus, modulus];
  let [x, next] = [1n, 0n];
  while (divisor > 0n) {
    const quotient = rest / divisor;
    [rest, divisor] = [divisor, rest - quotient * divisor];
    [x, next] = [next, x - quotient * next];
  }
  if (rest !== 1n) throw new DataError("card key: the numbers do not belong to one key");
  return ((x % modulus) + modulus) % modulus;
}
