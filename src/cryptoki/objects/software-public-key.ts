import {
  decodeEcParameters,
  decodeEcPoint,
  encodeEcPoint,
  encodePublicKey,
  type PublicKey,
  rsaPublicKey,
} from "../../crypto/index.ts";
import type { Values } from "../attributes/new-object.ts";
import { invalid } from "../attributes/refusals.ts";
import { bytesOf } from "../attributes/values.ts";
import { sameValue } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { blame } from "../error-map.ts";
import type { KeyMaterial } from "./key.ts";

/** A public key. Its numbers are written as the standard has them: without leading zeros, the point uncompressed. */
export function completePublicKey(values: Values): KeyMaterial {
  const key = blame(CKR.ATTRIBUTE_VALUE_INVALID, () => readPublicKey(values));
  setPublicKey(values, key);
  return { class: "public", publicKey: () => Promise.resolve(key) };
}

/** Sets what follows from a public key, in the objects of both halves. */
export function setPublicKey(values: Values, key: PublicKey): void {
  const info = encodePublicKey(key);
  const given = values.get(CKA.PUBLIC_KEY_INFO);
  if (given !== undefined && !sameValue(given, info) && !sameValue(given, new Uint8Array())) {
    throw invalid(CKA.PUBLIC_KEY_INFO, "is another key's");
  }
  values.set(CKA.PUBLIC_KEY_INFO, info);
  if (key.type === "rsa") {
    values.set(CKA.MODULUS, key.modulus);
    values.set(CKA.PUBLIC_EXPONENT, key.publicExponent);
  }
}

function readPublicKey(values: Values): PublicKey {
  if (values.get(CKA.KEY_TYPE) === CKK.RSA) {
    const key = rsaPublicKey(bytesOf(values, CKA.MODULUS), bytesOf(values, CKA.PUBLIC_EXPONENT));
    values.set(CKA.MODULUS_BITS, key.modulusBits);
    return key;
  }
  const curve = blame(CKR.CURVE_NOT_SUPPORTED, () => decodeEcParameters(bytesOf(values, CKA.EC_PARAMS)));
  const point = decodeEcPoint(curve, bytesOf(values, CKA.EC_POINT));
  values.set(CKA.EC_POINT, encodeEcPoint(point));
  return { type: "ec", curve, point };
}
