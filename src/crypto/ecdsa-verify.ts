import { createECDH, verify } from "node:crypto";
import { concat, utf8 } from "../bytes/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";
import { truncateDigest } from "./ecdsa.ts";
import { digest } from "./hash.ts";
import { CURVE_NUMBERS, inverse, modulo, toBytes, toNumber } from "./modular.ts";
import { type EcPublicKey, importPublicKey } from "./public-key.ts";

const MESSAGE = utf8("a message whose hash stands in for the digest");
const MESSAGE_DIGEST = digest("sha256", MESSAGE);

interface Point {
  readonly x: bigint;
  readonly y: bigint;
}

/**
 * Whether `signature` (r || s) is the key's over `hashed`, which may be of any length (FIPS 186-5 section 6.4.2).
 *
 * Node verifies messages only: without the name of a hash it takes SHA-256 for EC keys, not the digest as it is. But a signature (r, s) of digest e under key Q is one of digest e' under key
 * Q + tG, t = (e - e') / r: the point (e'G + r(Q + tG)) / s that verification computes is (eG + rQ) / s. So OpenSSL is asked
 * about a known message and the shifted key, and all that is left to do here is one addition. Everything in it is public.
 *
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
  // Infinity: only for a signer who chose it, and then not with the r that he would need, short of breaking the curve.
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
