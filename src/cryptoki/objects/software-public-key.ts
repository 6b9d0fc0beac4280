import {
  decodeEcPoint,
  decodePoint25519,
  encodeEcPoint,
  encodePublicKey,
  type PublicKey,
  rsaPublicKey,
} from "../../crypto/index.ts";
import type { Values } from "../attributes/new-object.ts";
import { invalid } from "../attributes/refusals.ts";
import { sameValue } from "../attributes/template.ts";
import { bytesOf, numberOf } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { blame } from "../error-map.ts";
import { curveOf } from "./curve-parameters.ts";
import type { KeyMaterial } from "./key.ts";

/** A public key. Its numbers are written as the standard has them: without leading zeros, the point uncompressed. */
export function completePublicKey(values: Values): KeyMaterial {
  const key = blame(CKR.ATTRIBUTE_VALUE_INVALID, () => readPublicKey(values));
  setPublicKey(values, key);
  requireOwnInfo(values, key);
  return { class: "public", publicKey: () => Promise.resolve(key) };
}

function readPublicKey(values: Values): PublicKey {
  const keyType = numberOf(values, CKA.KEY_TYPE) ?? CKK.RSA;
  if (keyType === CKK.RSA) return rsaPublicKey(bytesOf(values, CKA.MODULUS), bytesOf(values, CKA.PUBLIC_EXPONENT));
  const curve = blame(CKR.CURVE_NOT_SUPPORTED, () => curveOf(keyType, bytesOf(values, CKA.EC_PARAMS)));
  const point = bytesOf(values, CKA.EC_POINT);
  if (curve === "Ed25519") return { type: "edwards", curve, point: decodePoint25519(point) };
  if (curve === "X25519") return { type: "montgomery", curve, point: decodePoint25519(point) };
  return { type: "ec", curve, point: decodeEcPoint(curve, point) };
}

/** Writes a public key into the attributes of its object. */
export function setPublicKey(values: Values, key: PublicKey): void {
  if (key.type !== "rsa") {
    values.set(CKA.EC_POINT, key.type === "ec" ? encodeEcPoint(key.point) : key.point);
    return;
  }
  values.set(CKA.MODULUS, key.modulus);
  values.set(CKA.MODULUS_BITS, key.modulusBits);
  values.set(CKA.PUBLIC_EXPONENT, key.publicExponent);
}

/**
 * Sets CKA_PUBLIC_KEY_INFO of either half of a pair.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID if the template gave another key's (PKCS#11 3.1 section 4.9).
 */
export function requireOwnInfo(values: Values, key: PublicKey): void {
  const info = encodePublicKey(key);
  const given = bytesOf(values, CKA.PUBLIC_KEY_INFO);
  if (given.length > 0 && !sameValue(given, info)) throw invalid(CKA.PUBLIC_KEY_INFO, "is another key's");
  values.set(CKA.PUBLIC_KEY_INFO, info);
}
