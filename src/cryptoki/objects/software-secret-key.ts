import type { Values } from "../attributes/new-object.ts";
import { invalid } from "../attributes/refusals.ts";
import { bytesOf, numberOf } from "../attributes/values.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../error.ts";
import { keyCheckValue, requireCheckValue } from "./check-value.ts";
import type { KeyMaterial } from "./key.ts";

/** Lengths in bytes that keys of a type can have; any, of a type that is not here. */
const LENGTHS: ReadonlyMap<number, readonly number[]> = new Map([
  [CKK.AES, [16, 24, 32]],
  [CKK.DES, [8]],
  [CKK.DES2, [16]],
  [CKK.DES3, [24]],
]);
const MAX_LENGTH = 65_536;

/** Whether a secret key of this type can be so long. */
export function isKeyLength(keyType: number | undefined, length: number): boolean {
  const lengths = LENGTHS.get(keyType ?? NaN);
  return lengths ? lengths.includes(length) : length > 0 && length <= MAX_LENGTH;
}

/**
 * How long the value of a key will be: CKA_VALUE_LEN, or the only length that there is; undefined if nothing says.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID if no key of the type is so long.
 */
export function wantedLength(values: Values): number | undefined {
  const keyType = numberOf(values, CKA.KEY_TYPE);
  const length = numberOf(values, CKA.VALUE_LEN);
  if (length === undefined) {
    const lengths = LENGTHS.get(keyType ?? NaN) ?? [];
    return lengths.length === 1 ? lengths[0] : undefined;
  }
  if (!isKeyLength(keyType, length)) {
    throw invalid(CKA.VALUE_LEN, `cannot be ${length} for a ${nameOf("CKK", keyType ?? NaN)}`);
  }
  return length;
}

/** A secret key: CKA_VALUE is the material, and wiped with the object. */
export function completeSecretKey(values: Values): KeyMaterial {
  const value = bytesOf(values, CKA.VALUE);
  const keyType = numberOf(values, CKA.KEY_TYPE);
  if (!isKeyLength(keyType, value.length)) {
    throw invalid(CKA.VALUE, `has ${value.length} bytes, as no ${nameOf("CKK", keyType ?? NaN)} has`);
  }
  const wanted = numberOf(values, CKA.VALUE_LEN);
  if (wanted !== undefined && wanted !== value.length) {
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, `CKA_VALUE_LEN is ${wanted}, the key has ${value.length} bytes`);
  }
  requireCheckValue(values, keyCheckValue(keyType, value));
  values.set(CKA.VALUE_LEN, value.length);
  return { class: "secret", value };
}
