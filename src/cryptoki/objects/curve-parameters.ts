import { DerReader, derOid, TAG } from "../../asn1/index.ts";
import { DataError, fromUtf8 } from "../../bytes/index.ts";
import { decodeEcParameters, encodeEcParameters, type NamedCurve, type PublicKey } from "../../crypto/index.ts";
import { CKK } from "../constants/ckk.ts";

/** The curves of each type of key. */
export type Curve = NamedCurve | "Ed25519" | "X25519";

/**
 * Names of the curves that have no parameters of X9.62: the curveName that PKCS#11 3.1 sections 6.3.5 and 6.3.7 give, and the
 * object identifiers of RFC 8410 and of the drafts before it.
 */
const NAMES: ReadonlyMap<number, { readonly curve: Curve; readonly names: readonly string[] }> = new Map([
  [CKK.EC_EDWARDS, { curve: "Ed25519", names: ["edwards25519", "1.3.101.112", "1.3.6.1.4.1.11591.15.1"] }],
  [CKK.EC_MONTGOMERY, { curve: "X25519", names: ["curve25519", "1.3.101.110", "1.3.6.1.4.1.3029.1.5.1"] }],
]);

/**
 * The curve that CKA_EC_PARAMS of a key names.
 * @throws {DataError} if it is none for keys of this type.
 */
export function curveOf(keyType: number, parameters: Uint8Array): Curve {
  const known = NAMES.get(keyType);
  if (!known) return decodeEcParameters(parameters);
  const reader = new DerReader(parameters, "EC parameters");
  const name =
    parameters[0] === TAG.OBJECT_IDENTIFIER ? reader.oid() : fromUtf8(reader.next(TAG.PRINTABLE_STRING).contents);
  reader.end();
  if (!known.names.includes(name)) throw new DataError(`EC parameters: ${name} is not ${known.curve}`);
  return known.curve;
}

/** CKA_EC_PARAMS for a curve: its object identifier. */
export function curveParameters(curve: Curve): Uint8Array {
  if (curve === "Ed25519") return derOid("1.3.101.112");
  return curve === "X25519" ? derOid("1.3.101.110") : encodeEcParameters(curve);
}

/** CKK of keys of a kind. */
export function keyTypeOf({ type }: Pick<PublicKey, "type">): number {
  return KEY_TYPES[type];
}

const KEY_TYPES: Readonly<Record<PublicKey["type"], number>> = {
  rsa: CKK.RSA,
  ec: CKK.EC,
  edwards: CKK.EC_EDWARDS,
  montgomery: CKK.EC_MONTGOMERY,
};
