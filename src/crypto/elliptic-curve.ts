import { ECDH } from "node:crypto";
import { derOctetString, derOid, DerReader, derSequence, derUnsigned, encodeDer, TAG } from "../asn1/index.ts";
import { ByteReader, concat, DataError, equalBytes, fromHex, toHex, utf8 } from "../bytes/index.ts";
import { curveWithNumbers, type NamedCurve } from "./explicit-curve.ts";

export type { NamedCurve } from "./explicit-curve.ts";

interface Curve {
  readonly oid: string;
  /** OpenSSL's name. */
  readonly openssl: string;
  /** Bits of the order, and of the field. */
  readonly bits: number;
  /** Bytes of a coordinate, and of each half of a signature. */
  readonly bytes: number;
}

const CURVES: Readonly<Record<NamedCurve, Curve>> = {
  "P-256": { oid: "1.2.840.10045.3.1.7", openssl: "prime256v1", bits: 256, bytes: 32 },
  "P-384": { oid: "1.3.132.0.34", openssl: "secp384r1", bits: 384, bytes: 48 },
  "P-521": { oid: "1.3.132.0.35", openssl: "secp521r1", bits: 521, bytes: 66 },
};
const NAMES: readonly NamedCurve[] = ["P-256", "P-384", "P-521"];

export function curveInfo(curve: NamedCurve): Curve {
  return CURVES[curve];
}

/** CKA_EC_PARAMS: the curve's object identifier, DER. */
export function encodeEcParameters(curve: NamedCurve): Uint8Array {
  return derOid(CURVES[curve].oid);
}

/**
 * The curve that CKA_EC_PARAMS, or the parameters of a public key, name: by its object identifier, or by all of its
 * numbers (ANSI X9.62 ECParameters, RFC 3279 section 2.3.5).
 * @throws {DataError} if they are neither, or another curve's: also numbers that differ only in the generator, whose
 *   private keys an attacker can choose (CVE-2020-0601).
 */
export function decodeEcParameters(parameters: Uint8Array): NamedCurve {
  const reader = new DerReader(parameters, "EC parameters");
  if (reader.peek() === TAG.SEQUENCE) return curveWithNumbers(parameters);
  const oid = reader.oid();
  reader.end();
  const curve = NAMES.find((name) => CURVES[name].oid === oid);
  if (!curve) throw new DataError(`EC parameters: curve ${oid} is not P-256, P-384 or P-521`);
  return curve;
}

/**
 * Converts a signature r || s, PKCS#11's form (3.1, EC signatures), to the DER SEQUENCE of X.509 (RFC 3279 section
 * 2.2.3).
 * @throws {DataError} if its two halves do not have one length, 1 to 66 bytes.
 */
export function ecdsaToDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  if (!Number.isInteger(half) || half < 1 || half > 66) {
    throw new DataError(`ECDSA signature: ${signature.length} bytes`);
  }
  return derSequence(derUnsigned(signature.subarray(0, half)), derUnsigned(signature.subarray(half)));
}

/**
 * Converts a DER signature to r || s, each as long as the curve's order.
 * @throws {DataError} if it is malformed, or a number is too long for the curve.
 */
export function ecdsaFromDer(der: Uint8Array, curve: NamedCurve): Uint8Array {
  const { bytes } = curveInfo(curve);
  const outer = new DerReader(der, "ECDSA signature");
  const reader = outer.enter();
  outer.end();
  const signature = concat(leftPad(reader.unsigned(), bytes), leftPad(reader.unsigned(), bytes));
  reader.end();
  return signature;
}

function leftPad(number: Uint8Array, length: number): Uint8Array {
  if (number.length > length) throw new DataError(`ECDSA signature: a number of ${number.length} bytes`);
  return concat(new Uint8Array(length - number.length), number);
}

/**
 * Truncates a digest to the leftmost bits, as many as the curve's order has (FIPS 186-5 section 6.4.1 step 2). A digest
 * that is no longer than the order stays unchanged.
 */
export function truncateDigest(digest: Uint8Array, curve: NamedCurve): Uint8Array {
  const { bits, bytes } = curveInfo(curve);
  if (8 * digest.length <= bits) return digest;
  const reader = new ByteReader(digest, "digest");
  const leftmost = reader.take(bytes);
  // P-521: 66 bytes hold 7 bits more than the order.
  const surplus = 8 * bytes - bits;
  return leftmost.map((byte, index) => (((leftmost[index - 1] ?? 0) << (8 - surplus)) | (byte >> surplus)) & 0xff);
}

/** The curves of RFC 7748 and RFC 8032 with 255 bits, by the names of WebCrypto. */
export type Curve25519 = "Ed25519" | "X25519";

const OID: Readonly<Record<Curve25519, string>> = { Ed25519: "1.3.101.112", X25519: "1.3.101.110" };
/**
 * The names of RFC 7748 section 4.1, which CKA_EC_PARAMS may contain instead of the OID (PKCS#11 3.1 section 6.3.1).
 */
const NAME: Readonly<Record<Curve25519, string>> = { Ed25519: "edwards25519", X25519: "curve25519" };

/** CKA_EC_PARAMS: the curve's object identifier, DER. */
export function encodeParameters25519(curve: Curve25519): Uint8Array {
  return derOid(OID[curve]);
}

/** Whether CKA_EC_PARAMS name `curve`: by its OID, or by its name as a PrintableString. */
export function namesCurve25519(parameters: Uint8Array, curve: Curve25519): boolean {
  return [derOid(OID[curve]), encodeDer(TAG.PRINTABLE_STRING, utf8(NAME[curve]))].some((known) =>
    equalBytes(known, parameters),
  );
}

/**
 * The 32 bytes of CKA_EC_POINT, plain as in PKCS#11 3.1, or in a DER OCTET STRING as in 3.0.
 * @throws {DataError} if it is neither.
 */
export function decodePoint25519(bytes: Uint8Array): Uint8Array {
  if (bytes.length === 32) return bytes;
  const reader = new DerReader(bytes, "point of Curve25519");
  const point = reader.octetString();
  reader.end();
  if (point.length !== 32) throw new DataError(`point of Curve25519: ${point.length} bytes instead of 32`);
  return point;
}

/** Field and order of each curve (SP 800-186 section 3.2.1). The coefficient a is -3. */
export const CURVE_NUMBERS: Readonly<Record<NamedCurve, { readonly p: bigint; readonly n: bigint }>> = {
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

/** The remainder from 0 to `modulus` - 1. */
export function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus;
  return rest < 0n ? rest + modulus : rest;
}

/** By the extended Euclidean algorithm; `modulus` is prime and `value` positive and no multiple of it. */
export function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [value % modulus, modulus];
  let [x, y] = [1n, 0n];
  while (a > 1n) {
    const quotient = b / a;
    [a, b] = [b - quotient * a, a];
    [x, y] = [y - quotient * x, x];
  }
  return modulo(x, modulus);
}

export function toNumber(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`);
}

/** Most significant byte first, `length` bytes. */
export function toBytes(value: bigint, length: number): Uint8Array {
  return fromHex(value.toString(16).padStart(2 * length, "0"));
}

/** CKA_EC_POINT: the point in a DER OCTET STRING (PKCS#11 3.1, elliptic curve public key objects). */
export function encodeEcPoint(point: Uint8Array): Uint8Array {
  return derOctetString(point);
}

/**
 * A point of `curve`, checked to be on it, uncompressed: 04, x, y. Accepts it plain or in a DER OCTET STRING, because
 * CK_ECDH1_DERIVE_PARAMS allows both (PKCS#11 3.1, EC mechanism parameters), uncompressed or compressed. Both begin
 * with 04; a plain point is 1 + n or 1 + 2n bytes long, and with a DER header it is neither.
 * @throws {DataError} if it is not a point, or not on the curve: a card's private key must never be used with such a
 *   point (invalid curve attack). The orders of these curves are prime, so any point but infinity is safe.
 */
export function decodeEcPoint(curve: NamedCurve, bytes: Uint8Array): Uint8Array {
  const point = isBare(curve, bytes) ? bytes : unwrap(bytes);
  const uncompressed = point[0] === 0x04 && point.length === 1 + 2 * curveInfo(curve).bytes;
  const compressed = (point[0] === 0x02 || point[0] === 0x03) && point.length === 1 + curveInfo(curve).bytes;
  if (!uncompressed && !compressed) throw new DataError(`EC point: not one of ${curve}`);
  try {
    // OpenSSL checks the equation of the curve as it reads the octets (EC_POINT_oct2point).
    const checked = ECDH.convertKey(point, curveInfo(curve).openssl, undefined, "hex", "uncompressed");
    return Uint8Array.from(Buffer.from(checked.toString(), "hex"));
  } catch (cause) {
    throw new DataError(`EC point: not on ${curve}`, { cause });
  }
}

function isBare(curve: NamedCurve, { length }: Uint8Array): boolean {
  const { bytes } = curveInfo(curve);
  return length === 1 + bytes || length === 1 + 2 * bytes;
}

function unwrap(der: Uint8Array): Uint8Array {
  const reader = new DerReader(der, "EC point");
  const point = reader.octetString();
  reader.end();
  return point;
}
