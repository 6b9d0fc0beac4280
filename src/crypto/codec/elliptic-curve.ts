import { derOctetString, derOid, DerReader, derSequence, derUnsigned, encodeDer, TAG } from "../../asn1/index.ts";
import { ByteReader, concat, DataError, equalBytes, utf8 } from "../../bytes/index.ts";
import { curveWithNumbers, fieldOf, type NamedCurve } from "./explicit-curve.ts";
import { modulo, power, toBytes, toNumber } from "./modular.ts";

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
  const { bytes: length } = curveInfo(curve);
  const uncompressed = point[0] === 0x04 && point.length === 1 + 2 * length;
  const compressed = (point[0] === 0x02 || point[0] === 0x03) && point.length === 1 + length;
  if (!uncompressed && !compressed) throw new DataError(`EC point: not one of ${curve}`);
  const x = toNumber(point.subarray(1, 1 + length));
  const y = uncompressed ? toNumber(point.subarray(1 + length)) : rootWithParity(curve, x, BigInt((point[0] ?? 0) & 1));
  if (y === undefined || !isOnCurve(curve, x, y)) throw new DataError(`EC point: not on ${curve}`);
  return concat(Uint8Array.of(0x04), toBytes(x, length), toBytes(y, length));
}

/** y² = x³ - 3x + b, both coordinates below p (SEC 1 section 3.2.2.1). */
function isOnCurve(curve: NamedCurve, x: bigint, y: bigint): boolean {
  const { p } = fieldOf(curve);
  return x < p && y < p && (y * y) % p === squareOfY(curve, x);
}

function squareOfY(curve: NamedCurve, x: bigint): bigint {
  const { p, b } = fieldOf(curve);
  return modulo(x * x * x - 3n * x + b, p);
}

/**
 * The y of a compressed point (SEC 1 section 2.3.4): these fields have p = 3 mod 4, so that a square's root is its power to
 * (p + 1) / 4. Undefined for 0, whose other root does not exist; a number without a root gives a y that is not on the curve.
 */
function rootWithParity(curve: NamedCurve, x: bigint, parity: bigint): bigint | undefined {
  const { p } = fieldOf(curve);
  const root = power(squareOfY(curve, x), (p + 1n) / 4n, p);
  if (root === 0n) return undefined;
  return (root & 1n) === parity ? root : p - root;
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
