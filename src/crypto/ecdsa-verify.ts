import { createECDH, verify } from "node:crypto";
import { concat, fromHex, toHex, utf8 } from "../bytes/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";
import { truncateDigest } from "./ecdsa.ts";
import { digest } from "./hash.ts";
import { type EcPublicKey, importPublicKey } from "./public-key.ts";

/** Field and order of each curve (SP 800-186 section 3.2.1). The coefficient a is -3. */
const PARAMETERS: Readonly<Record<NamedCurve, { readonly p: bigint; readonly n: bigint }>> = {
  "P-256": {
    p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
    n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  "P-384": {
    p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
    n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
  "P-521": {
    p: 2n ** 521n - 1n,
    n: 0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
  },
};

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
  const { n } = PARAMETERS[curve];
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
  const sum = add(PARAMETERS[curve].p, toPoint(point), toPoint(ecdh.getPublicKey()));
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

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

/** By the extended Euclidean algorithm; `modulus` is prime and `value` positive and no multiple of it. */
function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [value % modulus, modulus];
  let [x, y] = [1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b] = [b - quotient * a, a];
    [x, y] = [y - quotient * x, x];
  }
  return modulo(x, modulus);
}

function toPoint(point: Uint8Array): Point {
  const half = (point.length - 1) / 2;
  return { x: toNumber(point.subarray(1, 1 + half)), y: toNumber(point.subarray(1 + half)) };
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`);
}

function toBytes(value: bigint, length: number): Uint8Array {
  return fromHex(value.toString(16).padStart(2 * length, "0"));
}
