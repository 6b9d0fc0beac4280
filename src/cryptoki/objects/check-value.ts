import { concatSecret } from "../../bytes/index.ts";
import { digest, encryptBlock } from "../../crypto/index.ts";
import type { Values } from "../attributes/new-object.ts";
import { invalid } from "../attributes/refusals.ts";
import { sameValue } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";

/**
 * Sets CKA_CHECK_VALUE. One that a template gave must be right; an empty one keeps it away (PKCS#11 3.1, secret key objects).
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID.
 */
export function requireCheckValue(values: Values, checkValue: Uint8Array): void {
  const given = values.get(CKA.CHECK_VALUE);
  if (given === undefined) values.set(CKA.CHECK_VALUE, checkValue);
  else if (!sameValue(given, checkValue) && !sameValue(given, new Uint8Array())) {
    throw invalid(CKA.CHECK_VALUE, "is another object's");
  }
}

/** The first three bytes of an encrypted block of zeros; of keys that encrypt nothing, of their SHA-1 hash. */
export function keyCheckValue(keyType: number | undefined, value: Uint8Array): Uint8Array {
  switch (keyType) {
    case CKK.AES:
      return encryptBlock("aes", value, new Uint8Array(16)).slice(0, 3);
    case CKK.DES3:
      return encryptBlock("3des", value, new Uint8Array(8)).slice(0, 3);
    case CKK.DES2:
      return encryptBlock("3des", concatSecret(value, value.subarray(0, 8)), new Uint8Array(8)).slice(0, 3);
    case CKK.DES:
      return encryptBlock("3des", concatSecret(value, value, value), new Uint8Array(8)).slice(0, 3);
    default:
      return digest("sha1", value).slice(0, 3);
  }
}
