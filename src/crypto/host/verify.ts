import { concat, DataError, equalBytes, fromHex } from "../../bytes/index.ts";
import { curveInfo, decodeEcPoint, type NamedCurve, truncateDigest } from "../codec/elliptic-curve.ts";
import { toBytes, toNumber } from "../codec/modular.ts";
import type { EcPublicKey, EdwardsPublicKey, RsaPublicKey } from "../codec/public-key.ts";
import { encodePkcs1Signature, type PssParameters } from "../codec/rsa-padding.ts";
import type { HashName } from "../codec/hashes.ts";
import { hostCrypto } from "./current.ts";
import type { HostVerifier } from "./host-crypto.ts";
import { isPss } from "./padding.ts";

/**
 * block^e mod n, without padding: encrypts a padded block, or recovers the one that was signed.
 * @param block As long as the modulus, and less than it as a number.
 * @throws {DataError} if it is not, or OpenSSL refuses the key.
 */
export function rsaPublic(key: RsaPublicKey, block: Uint8Array): Uint8Array {
  if (block.length !== key.modulus.length) {
    throw new DataError(`RSA: a block of ${block.length} bytes instead of ${key.modulus.length}`);
  }
  return hostCrypto().rsaPublic(key, block);
}

/**
 * Whether `signature` is the key's over `data` with PKCS#1 v1.5 padding (RFC 8017 section 8.2.2). The block is built and
 * compared, not taken apart: there is nothing in it to misread (Bleichenbacher 2006).
 * @param data The DigestInfo, or whatever else was signed.
 * @throws {DataError} if `data` is too long for the key, or OpenSSL refuses the key.
 */
export function verifyPkcs1(key: RsaPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const expected = encodePkcs1Signature(data, key.modulus.length);
  const block = recover(key, signature);
  return block !== undefined && equalBytes(block, expected);
}

/**
 * Whether `signature` is the key's bare operation on `data`, taken as a number (CKM_RSA_X_509).
 * @throws {DataError} if `data` is longer than the modulus, or OpenSSL refuses the key.
 */
export function verifyRsaRaw(key: RsaPublicKey, data: Uint8Array, signature: Uint8Array): boolean {
  const length = key.modulus.length;
  if (data.length > length) throw new DataError(`RSA: ${data.length} bytes; the limit for this key is ${length}`);
  const block = recover(key, signature);
  return block !== undefined && equalBytes(block, concat(new Uint8Array(length - data.length), data));
}

/**
 * Whether `signature` is the key's over the digest with PSS padding (RFC 8017 section 8.1.2), the salt just as long as
 * `parameters` say.
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

/** The block that was signed; undefined if `signature` cannot be one of this key's. */
function recover(key: RsaPublicKey, signature: Uint8Array): Uint8Array | undefined {
  if (signature.length !== key.modulus.length) return undefined;
  return isLessThan(signature, key.modulus) ? hostCrypto().rsaPublic(key, signature) : undefined;
}

/** Compares numbers of the same length, most significant byte first. */
function isLessThan(a: Uint8Array, b: Uint8Array): boolean {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return (a[at] ?? 0) < (b[at] ?? 0);
}

/** noble's curves, loaded at the first use: Node signs and verifies messages only, and hashes them itself. */
async function nobleCurve(curve: NamedCurve) {
  const { p256, p384, p521 } = await import("@noble/curves/nist.js");
  return { "P-256": p256, "P-384": p384, "P-521": p521 }[curve];
}

/** @throws {DataError} if it is not on its curve: a private key must never meet such a point (invalid curve attack). */
export function checkedPoint({ curve, point }: EcPublicKey): Uint8Array {
  try {
    return decodeEcPoint(curve, point);
  } catch (cause) {
    throw new DataError("public key: refused, not a valid key", { cause });
  }
}

/** The digest as it is, and both halves of the group: cards and other programs do not keep to the lower one. */
const AS_IT_IS = { prehash: false, lowS: false } as const;

/**
 * Whether `signature` (r || s) is the key's over `hashed`, which may be of any length (FIPS 186-5 section 6.4.2).
 * @throws {DataError} if the key's point is not on its curve.
 */
export async function verifyEcdsa(key: EcPublicKey, hashed: Uint8Array, signature: Uint8Array): Promise<boolean> {
  const point = checkedPoint(key);
  const { bytes } = curveInfo(key.curve);
  if (signature.length !== 2 * bytes) return false;
  const noble = await nobleCurve(key.curve);
  const host = hostCrypto();
  if (!host.createEcdsaVerifier) return noble.verify(signature, hashed, point, AS_IT_IS);

  // A host verifies messages, which it hashes. But a signature (r, s) of the digest e under the key Q is one of the digest e' under the
  // key Q + tG, t = (e - e') / r: the point (e'G + r(Q + tG)) / s that verification computes is (eG + rQ) / s. So the host is asked about a
  // known message and the shifted key, which takes half of noble's time. All of these values are public.
  const { Point } = noble;
  const { Fn } = Point;
  const r = toNumber(signature.subarray(0, bytes));
  if (r === 0n || r >= Fn.ORDER) return false;
  const difference = Fn.sub(
    digestNumber(hashed, key.curve, Fn.ORDER),
    digestNumber(MESSAGE_DIGEST, key.curve, Fn.ORDER),
  );
  const t = Fn.mul(difference, Fn.inv(r));
  const own = Point.fromBytes(point);
  const shifted = t === 0n ? own : own.add(Point.BASE.multiplyUnsafe(t));
  // Only a signer that chose it has such a key, and then not the r that it would need.
  if (shifted.is0()) return false;
  const verifier = host.createEcdsaVerifier(
    { type: "ec", curve: key.curve, point: shifted.toBytes(false) },
    MESSAGE_HASH,
  );
  verifier.update(MESSAGE);
  return verifier.verify(signature);
}

/**
 * ECDSA over a message in parts, which the host hashes (FIPS 186-5 section 6.4.2); undefined if it verifies digests only.
 * @throws {DataError} if the key's point is not on its curve.
 */
export function createEcdsaVerifier(key: EcPublicKey, hash: HashName): HostVerifier | undefined {
  return hostCrypto().createEcdsaVerifier?.(key, hash);
}

const MESSAGE_HASH = "sha256";

const MESSAGE = new TextEncoder().encode("a message whose hash takes the place of the digest");
/** {@link MESSAGE_HASH} of {@link MESSAGE}. */
const MESSAGE_DIGEST = fromHex("acad25de2b8bda67942b324cbed77eefccd70043450eef58076762cb0e44810e");

/** The digest as ECDSA takes it (FIPS 186-5 section 6.4.1 step 2). */
function digestNumber(hashed: Uint8Array, curve: NamedCurve, order: bigint): bigint {
  return toNumber(truncateDigest(hashed, curve)) % order;
}

/**
 * ECDSA over a digest (FIPS 186-5 section 6.4.1), with a random nonce.
 * @param secret The private key, as long as the order.
 * @param hashed As truncateDigest leaves it.
 * @returns r || s, each as long as the order.
 * @throws {DataError} for a digest longer than the order.
 */
export async function signEcdsa(curve: NamedCurve, secret: Uint8Array, hashed: Uint8Array): Promise<Uint8Array> {
  const { bytes } = curveInfo(curve);
  if (hashed.length > bytes) throw new DataError(`ECDSA: a digest of ${hashed.length} bytes; the limit is ${bytes}`);
  const noble = await nobleCurve(curve);
  return noble.sign(uncut(curve, hashed, noble.Point.Fn.ORDER), secret, { ...AS_IT_IS, extraEntropy: true });
}

/** P-521: noble cuts 66 bytes to the order's 521 bits. What truncateDigest has cut is put where that leaves it as it is. */
function uncut(curve: NamedCurve, hashed: Uint8Array, order: bigint): Uint8Array {
  const { bits, bytes } = curveInfo(curve);
  const surplus = 8 * hashed.length - bits;
  return surplus > 0 ? toBytes((toNumber(hashed) % order) << BigInt(surplus), bytes) : hashed;
}

/** Whether `signature` (R || S) is the key's over `message` (RFC 8032 section 5.1.7). @throws {DataError} for a key that is none. */
export async function verifyEddsa(key: EdwardsPublicKey, message: Uint8Array, signature: Uint8Array): Promise<boolean> {
  return hostCrypto().verifyEddsa(key, message, signature);
}
