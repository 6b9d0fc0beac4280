import { DataError } from "../../bytes/index.ts";
import {
  type Curve25519,
  decodeEcParameters,
  encodeEcParameters,
  encodeParameters25519,
  type NamedCurve,
  namesCurve25519,
  type PublicKey,
} from "../../crypto/index.ts";
import { CKK } from "../constants/ckk.ts";

/** The curves of keys that are not RSA. */
export type Curve = NamedCurve | Curve25519;

const CURVES_25519: ReadonlyMap<number, Curve25519> = new Map([
  [CKK.EC_EDWARDS, "Ed25519"],
  [CKK.EC_MONTGOMERY, "X25519"],
]);

/**
 * The curve that CKA_EC_PARAMS of a key names.
 * @throws {DataError} if it is none for keys of this type.
 */
export function curveOf(keyType: number, parameters: Uint8Array): Curve {
  const curve = CURVES_25519.get(keyType);
  if (!curve) return decodeEcParameters(parameters);
  if (!namesCurve25519(parameters, curve)) throw new DataError(`EC parameters: not those of ${curve}`);
  return curve;
}

/** CKA_EC_PARAMS for a curve: its object identifier. */
export function curveParameters(curve: Curve): Uint8Array {
  return curve === "Ed25519" || curve === "X25519" ? encodeParameters25519(curve) : encodeEcParameters(curve);
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
