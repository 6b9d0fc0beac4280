import { concatSecret } from "../../bytes/index.ts";
import { digest, encryptBlock } from "../../crypto/index.ts";
import { inconsistent, invalid } from "../attributes/errors.ts";
import { bytesOf, type NewObject, numberOf, type Values } from "../attributes/new-object.ts";
import { sameValue } from "../attributes/template.ts";
import { CK_CERTIFICATE_CATEGORY, CK_SECURITY_DOMAIN, CKC, CKK, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../errors.ts";
import { HASH_BY_MECHANISM } from "../mechanisms/hashes.ts";
import type { KeyMaterial, ObjectContents } from "./object-copy.ts";
import { completePrivateKey, completePublicKey } from "./software-keys.ts";

/**
 * Sets CKA_CHECK_VALUE. A template's own must be right; an empty one suppresses it (PKCS#11 3.1, secret key objects).
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID.
 */
function requireCheckValue(values: Values, checkValue: Uint8Array): void {
  const given = values.get(CKA.CHECK_VALUE);
  if (given === undefined) values.set(CKA.CHECK_VALUE, checkValue);
  else if (!sameValue(given, checkValue) && !sameValue(given, new Uint8Array())) {
    throw invalid(CKA.CHECK_VALUE, "belongs to another object");
  }
}

/** The first three bytes of an encrypted block of zeros; for keys that do not encrypt, of their SHA-1 hash. */
function keyCheckValue(keyType: number | undefined, value: Uint8Array): Uint8Array {
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

const CATEGORIES: readonly unknown[] = Object.values(CK_CERTIFICATE_CATEGORY);
const DOMAINS: readonly unknown[] = Object.values(CK_SECURITY_DOMAIN);

/** Checks certificates of the three types (PKCS#11 3.1 sections 4.6.3 to 4.6.5). */
function completeCertificate(values: Values): void {
  if (!CATEGORIES.includes(values.get(CKA.CERTIFICATE_CATEGORY))) {
    throw invalid(CKA.CERTIFICATE_CATEGORY, "is not a category");
  }
  const value = bytesOf(values, CKA.VALUE);
  if (values.get(CKA.CERTIFICATE_TYPE) !== CKC.X_509_ATTR_CERT) requireWhereabouts(values, value);
  else if (value.length === 0) throw invalid(CKA.VALUE, "is empty");
  requireCheckValue(values, value.length === 0 ? new Uint8Array() : digest("sha1", value).slice(0, 3));
}

/** A certificate outside the object is identified by its URL and the hashes of its keys. */
function requireWhereabouts(values: Values, value: Uint8Array): void {
  const domain = values.get(CKA.JAVA_MIDP_SECURITY_DOMAIN);
  if (domain !== undefined && !DOMAINS.includes(domain))
    throw invalid(CKA.JAVA_MIDP_SECURITY_DOMAIN, "is not a domain");
  if (!HASH_BY_MECHANISM.has(numberOf(values, CKA.NAME_HASH_ALGORITHM) ?? NaN)) {
    throw invalid(CKA.NAME_HASH_ALGORITHM, "is not a supported hash");
  }
  if (values.get(CKA.URL) === "") {
    if (value.length === 0) throw inconsistent(CKA.VALUE, "and CKA_URL are both empty");
    return;
  }
  for (const type of [CKA.HASH_OF_SUBJECT_PUBLIC_KEY, CKA.HASH_OF_ISSUER_PUBLIC_KEY] as const) {
    if (bytesOf(values, type).length === 0) throw inconsistent(type, "is empty, which needs CKA_URL to be empty too");
  }
}

/**
 * Domain parameters: their lengths in bits are computed (PKCS#11 3.1, DSA and Diffie-Hellman domain parameter objects).
 */
function completeDomainParameters(values: Values): void {
  values.set(CKA.LOCAL, false);
  values.set(CKA.PRIME_BITS, bits(bytesOf(values, CKA.PRIME)));
  if (values.get(CKA.KEY_TYPE) === CKK.X9_42_DH) values.set(CKA.SUBPRIME_BITS, bits(bytesOf(values, CKA.SUBPRIME)));
}

function bits(number: Uint8Array): number {
  const start = number.findIndex((byte) => byte !== 0);
  if (start < 0) throw invalid(CKA.PRIME, "is zero");
  return 8 * (number.length - start) - (Math.clz32(number[start] ?? 0) - 24);
}

/** Possible lengths in bytes of keys of a type; any for an unlisted type. */
const LENGTHS: ReadonlyMap<number, readonly number[]> = new Map([
  [CKK.AES, [16, 24, 32]],
  [CKK.DES, [8]],
  [CKK.DES2, [16]],
  [CKK.DES3, [24]],
]);
const MAX_LENGTH = 65_536;

/** Whether a secret key of this type can have this length. */
export function isKeyLength(keyType: number | undefined, length: number): boolean {
  const lengths = LENGTHS.get(keyType ?? NaN);
  return lengths ? lengths.includes(length) : length > 0 && length <= MAX_LENGTH;
}

/**
 * The length of a key: CKA_VALUE_LEN, or the only possible length; undefined if unknown.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID for an impossible length.
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
function completeSecretKey(values: Values): KeyMaterial {
  const value = bytesOf(values, CKA.VALUE);
  const keyType = numberOf(values, CKA.KEY_TYPE);
  if (!isKeyLength(keyType, value.length)) {
    throw invalid(CKA.VALUE, `has ${value.length} bytes, which is not a length of a ${nameOf("CKK", keyType ?? NaN)}`);
  }
  const wanted = numberOf(values, CKA.VALUE_LEN);
  if (wanted !== undefined && wanted !== value.length) {
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, `CKA_VALUE_LEN is ${wanted}, the key has ${value.length} bytes`);
  }
  requireCheckValue(values, keyCheckValue(keyType, value));
  values.set(CKA.VALUE_LEN, value.length);
  return { class: "secret", value };
}

/**
 * A session object with checked values. It owns its values; computed ones are added.
 * @throws {CryptokiError} CKR_ATTRIBUTE_VALUE_INVALID, CKR_TEMPLATE_INCONSISTENT and similar ones, if they contradict
 *   each other.
 */
export function softwareObject({ rules, values }: NewObject): ObjectContents {
  const key = complete(values);
  return {
    attributes: Object.fromEntries(values),
    private: values.get(CKA.PRIVATE) === true,
    rules,
    ...(key ? { key } : {}),
  };
}

function complete(values: Values): KeyMaterial | undefined {
  switch (values.get(CKA.CLASS)) {
    case CKO.CERTIFICATE:
      completeCertificate(values);
      return undefined;
    case CKO.PUBLIC_KEY:
      return completePublicKey(values);
    case CKO.PRIVATE_KEY:
      return completePrivateKey(values);
    case CKO.SECRET_KEY:
      return completeSecretKey(values);
    case CKO.DOMAIN_PARAMETERS:
      completeDomainParameters(values);
      return undefined;
    default:
      return undefined;
  }
}
