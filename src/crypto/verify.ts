import { constants, createECDH, publicEncrypt, verify } from "node:crypto";
import { concat, DataError, equalBytes, utf8 } from "../bytes/index.ts";
import { plain } from "./ciphers.ts";
import { digest } from "./digests.ts";
import {
  CURVE_NUMBERS,
  curveInfo,
  inverse,
  modulo,
  type NamedCurve,
  toBytes,
  toNumber,
  truncateDigest,
} from "./elliptic-curve.ts";
import { type EcPublicKey, type EdwardsPublicKey, importPublicKey, type RsaPublicKey } from "./public-key.ts";
import { encodePkcs1Signature, isPss, type PssParameters } from "./rsa-padding.ts";

/**
 * block^e mod n, without padding: encrypts a padded block, or recovers the signed one.
 * @param block As long as the modulus, and less than it as a number.
 * @throws {DataError} if it is not, or OpenSSL refuses the key.
 */
export function rsaPublic(key: RsaPublicKey, block: Uint8Array): Uint8Array {
  const imported = importPublicKey(key);
  if (block.length !== key.modulus.length) {
    throw new DataError(`RSA: a block of ${block.length} bytes instead of ${key.modulus.length}`);
  }
  try {
    return plain(publicEncrypt({ key: imported, padding: constants.RSA_NO_PADDING }, block));
  } catch (cause) {
    throw new DataError("RSA: the block is not less than the modulus", { cause });
  }
}

/**
 * Whether `signature` is the key's over `data` with PKCS#1 v1.5 padding (RFC 8017 section 8.2.2). Builds the block and
 * compares it, instead of parsing it, so that no parsing error is possible (Bleichenbacher 2006).
 * @param data The DigestInfo, or other signed data.
 * @throws {DataError} if `data` is too long for the key, or OpenSSL refuses the key.
 */
export function verifyPkcs1(key: RsaPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const expected = encodePkcs1Signature(data, key.modulus.length);
  const block = recover(key, signature);
  return block !== undefined && equalBytes(block, expected);
}

/**
 * Whether `signature` is the key's raw operation on `data` as a number (CKM_RSA_X_509).
 * @throws {DataError} if `data` is longer than the modulus, or OpenSSL refuses the key.
 */
export function verifyRsaRaw(key: RsaPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const length = key.modulus.length;
  if (data.length > length) throw new DataError(`RSA: ${data.length} bytes; the limit for this key is ${length}`);
  const block = recover(key, signature);
  return block !== undefined && equalBytes(block, concat(new Uint8Array(length - data.length), data));
}

/**
 * Whether `signature` is the key's over the digest with PSS padding (RFC 8017 section 8.1.2) and a salt of exactly the
 * length in `parameters`.
 * @throws {DataError} if the digest has a wrong length, the key is too short for hash and salt, or OpenSSL refuses it.
 */
export function verifyPss(
  key: RsaPublicKey,
  digest: Uint8Array,
  parameters: PssParameters,
  signature: Uint8Array,
): boolean {
  const block = recover(key, signature);
  return isPss(block ?? new Uint8Array(key.modulus.length), digest, parameters, key.modulusBits);
}

/** The signed block; undefined if `signature` cannot be this key's. */
function recover(key: RsaPublicKey, signature: Uint8Array): Uint8Array | undefined {
  if (signature.length !== key.modulus.length) return undefined;
  return isLessThan(signature, key.modulus) ? rsaPublic(key, signature) : undefined;
}

/** Compares numbers of the same length, most significant byte first. */
function isLessThan(a: Uint8Array, b: Uint8Array): boolean {
  for (const [index, byte] of a.entries()) {
    const other = b[index] ?? 0;
    if (byte !== other) return byte < other;
  }
  return false;
}

const MESSAGE = utf8("a message whose hash stands in for the digest");
const MESSAGE_DIGEST = digest("sha256", MESSAGE);

interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

/**
 * Whether `signature` (r || s) is the key's over `hashed`, of any length (FIPS 186-5 section 6.4.2).
 *
 * Node verifies messages only: without the name of a hash it uses SHA-256 for EC keys, not the given digest. But a
 * signature (r, s) of digest e under key Q is one of digest e' under key Q + tG, t = (e - e') / r: the point (e'G + r(Q
 * + tG)) / s that verification computes is (eG + rQ) / s. So OpenSSL verifies a known message with the shifted key, and
 * only one addition is left here. All values are public.
 * @throws {DataError} if the key's point is not on its curve.
 */
export function verifyEcdsa(key: EcPublicKey, hashed: Uint8Array, signature: Uint8Array): boolean {
  const { curve } = key;
  const { bytes } = curveInfo(curve);
  const { n } = CURVE_NUMBERS[curve];
  importPublicKey(key);
  if (signature.length !== 2 * bytes) return false;
  const r = toNumber(signature.subarray(0, bytes));
  if (r === 0n || r >= n) return false;

  const e = toNumber(truncateDigest(hashed, curve));
  const t = modulo((e - toNumber(MESSAGE_DIGEST)) * inverse(r, n), n);
  const shifted = t === 0n ? key.point : addMultipleOfBase(curve, key.point, t);
  // Infinity: possible only for a signer who chose it, and then not with the r that he would need, unless the curve is
  // broken.
  if (!shifted) return false;
  const shiftedKey = importPublicKey({ type: "ec", curve, point: shifted });
  return verify("sha256", MESSAGE, { key: shiftedKey, dsaEncoding: "ieee-p1363" }, signature);
}

/** point + t times the curve's base point, t not 0; undefined if that is infinity. */
function addMultipleOfBase(curve: NamedCurve, point: Uint8Array, t: bigint): Uint8Array | undefined {
  const { bytes, openssl } = curveInfo(curve);
  const ecdh = createECDH(openssl);
  ecdh.setPrivateKey(toBytes(t, bytes));
  const sum = add(CURVE_NUMBERS[curve].p, toPoint(point), toPoint(ecdh.getPublicKey()));
  return sum && concat(Uint8Array.of(0x04), toBytes(sum.x, bytes), toBytes(sum.y, bytes));
}

/** The chord and tangent rule over the field of p elements, a = -3 (SEC 1 section 2.2.1). */
function add(p: bigint, a: Point, b: Point): Point | undefined {
  if (a.x === b.x && a.y !== b.y) return undefined;
  const slope =
    a.x === b.x ? (3n * a.x * a.x - 3n) * inverse(2n * a.y, p) : (b.y - a.y) * inverse(modulo(b.x - a.x, p), p);
  const x = modulo(slope * slope - a.x - b.x, p);
  return { x, y: modulo(slope * (a.x - x) - a.y, p) };
}

function toPoint(point: Uint8Array): Point {
  const half = (point.length - 1) / 2;
  return { x: toNumber(point.subarray(1, 1 + half)), y: toNumber(point.subarray(1 + half)) };
}

/**
 * ECDSA over a digest (FIPS 186-5 section 6.4.1), for which Node has no call: it hashes first. OpenSSL computes the
 * points: a fresh key pair gives k and kG. The rest is one line modulo the order; a random factor blinds its inversion,
 * because BigInt does not compute in constant time.
 * @param secret The private key, most significant byte first.
 * @param hashed From truncateDigest: truncating it again would sign another number on P-521.
 * @returns r || s, each as long as the order.
 * @throws {DataError} for a digest longer than the order.
 */
export function signEcdsa(curve: NamedCurve, secret: Uint8Array, hashed: Uint8Array): Uint8Array {
  const { bytes } = curveInfo(curve);
  const { n } = CURVE_NUMBERS[curve];
  if (hashed.length > bytes) throw new DataError(`ECDSA: a digest of ${hashed.length} bytes; the limit is ${bytes}`);
  const d = toNumber(secret);
  const e = toNumber(hashed);
  for (;;) {
    const k = ephemeral(curve);
    const { secret: blind } = ephemeral(curve);
    const r = modulo(k.x, n);
    const s = modulo(inverse(modulo(k.secret * blind, n), n) * modulo(blind * e + modulo(blind * r, n) * d, n), n);
    if (r !== 0n && s !== 0n) return concat(toBytes(r, bytes), toBytes(s, bytes));
  }
}

/** A number from 1 to n - 1, and the x coordinate of its multiple of the base point. */
function ephemeral(curve: NamedCurve): { readonly secret: bigint; readonly x: bigint } {
  const { bytes, openssl } = curveInfo(curve);
  const ecdh = createECDH(openssl);
  const point = ecdh.generateKeys();
  const secret = ecdh.getPrivateKey();
  const numbers = { secret: toNumber(secret), x: toNumber(point.subarray(1, 1 + bytes)) };
  secret.fill(0);
  return numbers;
}

/**
 * Whether `signature` (R || S) is the key's over `message` (RFC 8032 section 5.1.7).
 * @throws {DataError} for an invalid key.
 */
export function verifyEddsa(key: EdwardsPublicKey, message: Uint8Array, signature: Uint8Array): boolean {
  return verify(null, message, importPublicKey(key), signature);
}
