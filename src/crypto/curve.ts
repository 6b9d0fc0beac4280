import { DataError } from "../bytes/index.ts";
import { DerReader, derOid, TAG } from "../asn1/index.ts";
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
 * The curve that CKA_EC_PARAMS, or the parameters of a public key, name: by its object identifier, or by all of its numbers
 * (ANSI X9.62 ECParameters, RFC 3279 section 2.3.5).
 * @throws {DataError} if they are neither, or another curve's: numbers that differ in the generator alone, too, whose private keys
 *   anybody can choose (CVE-2020-0601).
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
