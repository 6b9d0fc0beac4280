import { ByteReader, concat, DataError } from "../bytes/index.ts";
import { DerReader, derSequence, derUnsigned } from "../asn1/index.ts";
import { curveInfo, type NamedCurve } from "./curve.ts";

/**
 * A signature r || s, as PKCS#11 has it (3.1, EC signatures), as the DER SEQUENCE of X.509 (RFC 3279 section 2.2.3).
 * @throws {DataError} if its two halves are not of one length, 1 to 66 bytes.
 */
export function ecdsaToDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  if (!Number.isInteger(half) || half < 1 || half > 66) {
    throw new DataError(`ECDSA signature: ${signature.length} bytes`);
  }
  return derSequence(derUnsigned(signature.subarray(0, half)), derUnsigned(signature.subarray(half)));
}

/**
 * A DER signature as r || s, each as long as the curve's order.
 * @throws {DataError} if it is not one, or a number is too long for the curve.
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
 * The leftmost bits of a digest, as many as the curve's order has (FIPS 186-5 section 6.4.1 step 2): what the card signs.
 * A digest that is no longer than the order stays as it is.
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
