import { concat } from "../../bytes/index.ts";
import { digest, encryptBlock } from "../../crypto/index.ts";
import { copyBytes } from "../arguments.ts";
import { type AttributeSources, SENSITIVE } from "../attributes/attribute-set.ts";
import type { AttributeValue, Template } from "../attributes/kinds.ts";
import { readTemplate, sameValue } from "../attributes/template.ts";
import { CK } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKK } from "../constants/ckk.ts";
import { CKO } from "../constants/cko.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../error.ts";
import type { ObjectContents } from "./stored-object.ts";

/** Lengths in bytes that keys of a type can have; undefined: any. */
const LENGTHS: ReadonlyMap<number, readonly number[] | undefined> = new Map<number, readonly number[] | undefined>([
  [CKK.GENERIC_SECRET, undefined],
  [CKK.AES, [16, 24, 32]],
  [CKK.DES, [8]],
  [CKK.DES2, [16]],
  [CKK.DES3, [24]],
]);
const MAX_LENGTH = 1024;

/** What C_DeriveKey's template may set, besides class, type and length (PKCS#11 3.1, secret key objects). */
const DEFAULTS = {
  [CKA.LABEL]: "",
  [CKA.ID]: new Uint8Array(),
  [CKA.START_DATE]: null,
  [CKA.END_DATE]: null,
  [CKA.MODIFIABLE]: true,
  [CKA.COPYABLE]: true,
  [CKA.DESTROYABLE]: true,
  [CKA.SENSITIVE]: false,
  [CKA.EXTRACTABLE]: true,
  [CKA.ENCRYPT]: false,
  [CKA.DECRYPT]: false,
  [CKA.SIGN]: false,
  [CKA.VERIFY]: false,
  [CKA.WRAP]: false,
  [CKA.UNWRAP]: false,
  [CKA.DERIVE]: false,
  [CKA.WRAP_WITH_TRUSTED]: false,
  [CKA.TRUSTED]: false,
  [CKA.WRAP_TEMPLATE]: {},
  [CKA.UNWRAP_TEMPLATE]: {},
  [CKA.DERIVE_TEMPLATE]: {},
} as const satisfies AttributeSources;

/** Attributes of a secret key that only the library sets. */
const LIBRARY: ReadonlySet<number> = new Set([
  CKA.UNIQUE_ID,
  CKA.LOCAL,
  CKA.KEY_GEN_MECHANISM,
  CKA.ALWAYS_SENSITIVE,
  CKA.NEVER_EXTRACTABLE,
  CKA.VALUE,
]);

/** A template for a derived secret key, checked. */
export interface SecretKeyTemplate {
  readonly keyType: number;
  /** CKA_VALUE_LEN, or the only length that keys of this type have; undefined if the mechanism decides. */
  readonly length: number | undefined;
  readonly private: boolean;
  readonly attributes: AttributeSources;
}

/**
 * Reads the template of C_DeriveKey.
 * @param privateDefault CKA_PRIVATE if the template does not say.
 * @throws {CryptokiError} CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID, CKR_ATTRIBUTE_READ_ONLY,
 *   CKR_ATTRIBUTE_VALUE_INVALID.
 */
export function readSecretKeyTemplate(template: Template, privateDefault: boolean): SecretKeyTemplate {
  const attributes: Record<number, AttributeValue> = { ...DEFAULTS };
  for (const [type, value] of readTemplate(template)) {
    if (LIBRARY.has(type)) throw refused(CKR.ATTRIBUTE_READ_ONLY, type, "is set by the library");
    // A trusted key is made so by the security officer alone.
    if (type === CKA.TRUSTED && value === true) throw refused(CKR.ATTRIBUTE_READ_ONLY, type, "cannot be set here");
    if (!Object.hasOwn(attributes, type) && !OTHERS.has(type)) {
      throw refused(CKR.ATTRIBUTE_TYPE_INVALID, type, "is no attribute of a secret key");
    }
    attributes[type] = value instanceof Uint8Array ? copyBytes(value) : value;
  }
  requireSame(attributes, CKA.CLASS, CKO.SECRET_KEY, "a derived key is a CKO.SECRET_KEY");
  requireSame(attributes, CKA.TOKEN, false, "the card keeps no secret keys; leave CKA_TOKEN out");
  const keyType = Number(attributes[CKA.KEY_TYPE] ?? CKK.GENERIC_SECRET);
  const length = attributes[CKA.VALUE_LEN] === undefined ? undefined : Number(attributes[CKA.VALUE_LEN]);
  return {
    keyType,
    length: checkLength(keyType, length),
    private: attributes[CKA.PRIVATE] === undefined ? privateDefault : attributes[CKA.PRIVATE] === true,
    attributes,
  };
}

const OTHERS: ReadonlySet<number> = new Set([
  CKA.CLASS,
  CKA.KEY_TYPE,
  CKA.TOKEN,
  CKA.PRIVATE,
  CKA.VALUE_LEN,
  CKA.CHECK_VALUE,
]);

const refused = (rv: number, type: number, why: string): CryptokiError =>
  new CryptokiError(rv, `${nameOf("CKA", type)} ${why}`);

function requireSame(
  attributes: Readonly<Record<number, AttributeValue>>,
  type: number,
  value: AttributeValue,
  detail: string,
): void {
  const given = attributes[type];
  if (given !== undefined && !sameValue(given, value)) throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, detail);
}

function checkLength(keyType: number, length: number | undefined): number | undefined {
  if (!LENGTHS.has(keyType)) {
    throw refused(CKR.ATTRIBUTE_VALUE_INVALID, CKA.KEY_TYPE, `${nameOf("CKK", keyType)} cannot be derived here`);
  }
  const lengths = LENGTHS.get(keyType);
  if (length === undefined) return lengths?.length === 1 ? lengths[0] : undefined;
  if (length < 1 || length > MAX_LENGTH || (lengths && !lengths.includes(length))) {
    throw refused(CKR.ATTRIBUTE_VALUE_INVALID, CKA.VALUE_LEN, `cannot be ${length} for a ${nameOf("CKK", keyType)}`);
  }
  return length;
}

/**
 * A secret key that ends with its session.
 * @param value Becomes the object's own, which wipes it in the end.
 * @throws {CryptokiError} CKR_KEY_SIZE_RANGE if no key of this type is as long; CKR_ATTRIBUTE_VALUE_INVALID if CKA_CHECK_VALUE is wrong.
 */
export function secretKeyObject(template: SecretKeyTemplate, value: Uint8Array, uniqueID: string): ObjectContents {
  const { keyType, attributes } = template;
  const lengths = LENGTHS.get(keyType);
  if (lengths && !lengths.includes(value.length)) {
    throw new CryptokiError(CKR.KEY_SIZE_RANGE, `no ${nameOf("CKK", keyType)} has ${value.length} bytes`);
  }
  const checkValue = keyCheckValue(keyType, value);
  const given = attributes[CKA.CHECK_VALUE];
  if (given instanceof Uint8Array && given.length > 0 && !sameValue(given, checkValue)) {
    throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, "CKA_CHECK_VALUE is another key's");
  }
  const shown = attributes[CKA.SENSITIVE] === false && attributes[CKA.EXTRACTABLE] === true;
  return {
    private: template.private,
    key: { class: "secret", value },
    attributes: {
      ...attributes,
      [CKA.CLASS]: CKO.SECRET_KEY,
      [CKA.KEY_TYPE]: keyType,
      [CKA.TOKEN]: false,
      [CKA.PRIVATE]: template.private,
      [CKA.UNIQUE_ID]: uniqueID,
      [CKA.LOCAL]: false,
      [CKA.KEY_GEN_MECHANISM]: CK.UNAVAILABLE_INFORMATION,
      // The secret was in the memory of the host.
      [CKA.ALWAYS_SENSITIVE]: false,
      [CKA.NEVER_EXTRACTABLE]: false,
      // An empty one in the template keeps it away (PKCS#11 3.1, secret key objects).
      [CKA.CHECK_VALUE]: given instanceof Uint8Array && given.length === 0 ? given : checkValue,
      [CKA.VALUE]: shown ? value : SENSITIVE,
      [CKA.VALUE_LEN]: value.length,
    },
  };
}

/** The first three bytes of an encrypted block of zeros; of a generic secret, of its SHA-1 hash. */
function keyCheckValue(keyType: number, value: Uint8Array): Uint8Array {
  switch (keyType) {
    case CKK.AES:
      return encryptBlock("aes", value, new Uint8Array(16)).slice(0, 3);
    case CKK.DES3:
      return encryptBlock("3des", value, new Uint8Array(8)).slice(0, 3);
    case CKK.DES2:
      return encryptBlock("3des", concat(value, value.subarray(0, 8)), new Uint8Array(8)).slice(0, 3);
    case CKK.DES:
      return encryptBlock("3des", concat(value, value, value), new Uint8Array(8)).slice(0, 3);
    default:
      return digest("sha1", value).slice(0, 3);
  }
}
