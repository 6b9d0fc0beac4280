import { CK_CERTIFICATE_CATEGORY, CK_SECURITY_DOMAIN } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { CKM } from "../constants/ckm.ts";
import type { AttributeValue } from "./kinds.ts";

/**
 * The footnotes that stand with attributes in the tables of the standard (PKCS#11 3.1 table 10):
 *
 *  1, 2   must, must not be specified when the object is created with C_CreateObject
 *  3, 4   ... when it is generated with C_GenerateKey or C_GenerateKeyPair
 *  5, 6   ... when it is unwrapped with C_UnwrapKey
 *  7      not revealed if CKA_SENSITIVE is true or CKA_EXTRACTABLE false
 *  8      may be modified after the object is created, or in the process of copying it
 *  9      the default value is token-specific, and may depend on the values of other attributes
 * 10      set to true only by the security officer
 * 11, 12  not changed any more once it is true, false
 */
export const FOOTNOTE = {
  REQUIRED_TO_CREATE: 1,
  REFUSED_TO_CREATE: 2,
  REQUIRED_TO_GENERATE: 3,
  REFUSED_TO_GENERATE: 4,
  REQUIRED_TO_UNWRAP: 5,
  REFUSED_TO_UNWRAP: 6,
  SECRET: 7,
  MODIFIABLE: 8,
  TOKEN_SPECIFIC: 9,
  OFFICER_ONLY: 10,
  STAYS_TRUE: 11,
  STAYS_FALSE: 12,
} as const;
export type Footnote = (typeof FOOTNOTE)[keyof typeof FOOTNOTE];

/**
 * A row of a table: an attribute, its footnotes, and its default value. Without a default, the library computes the
 * value, or the object does not have the attribute.
 */
export type Row = readonly [type: CKA, notes: readonly Footnote[], initial?: AttributeValue];

interface Rule {
  readonly notes: ReadonlySet<Footnote>;
  readonly initial: AttributeValue | undefined;
}

/** The attributes that an object can have. */
export type Rules = ReadonlyMap<number, Rule>;

/** Combines the rules of several tables; later ones take precedence. */
export function rules(...tables: readonly (readonly Row[])[]): Rules {
  return new Map(tables.flat().map(([type, notes, initial]) => [type, { notes: new Set(notes), initial }]));
}

const EMPTY = new Uint8Array();

/** Certificate objects (PKCS#11 3.1 section 4.6.2). */
export const CERTIFICATE: readonly Row[] = [
  [CKA.CERTIFICATE_TYPE, [1]],
  [CKA.TRUSTED, [10], false],
  [CKA.CERTIFICATE_CATEGORY, [], CK_CERTIFICATE_CATEGORY.UNSPECIFIED],
  [CKA.CHECK_VALUE, []],
  [CKA.START_DATE, [], null],
  [CKA.END_DATE, [], null],
  [CKA.PUBLIC_KEY_INFO, [], EMPTY],
];

/** The URL of a certificate outside the object, and its hashes (sections 4.6.3 and 4.6.4). */
const ELSEWHERE: readonly Row[] = [
  [CKA.URL, [], ""],
  [CKA.HASH_OF_SUBJECT_PUBLIC_KEY, [], EMPTY],
  [CKA.HASH_OF_ISSUER_PUBLIC_KEY, [], EMPTY],
  [CKA.NAME_HASH_ALGORITHM, [], CKM.SHA_1],
];

/** "Only the CKA_ID, CKA_ISSUER, and CKA_SERIAL_NUMBER attributes may be modified" (section 4.6.3). */
export const X_509: readonly Row[] = [
  [CKA.SUBJECT, [1]],
  [CKA.ID, [8], EMPTY],
  [CKA.ISSUER, [8], EMPTY],
  [CKA.SERIAL_NUMBER, [8], EMPTY],
  [CKA.VALUE, [1]],
  [CKA.JAVA_MIDP_SECURITY_DOMAIN, [], CK_SECURITY_DOMAIN.UNSPECIFIED],
  ...ELSEWHERE,
];

/** Section 4.6.4. */
export const WTLS: readonly Row[] = [[CKA.SUBJECT, [1]], [CKA.ISSUER, [8], EMPTY], [CKA.VALUE, [1]], ...ELSEWHERE];

/** Section 4.6.5. */
export const X_509_ATTR_CERT: readonly Row[] = [
  [CKA.OWNER, [1]],
  [CKA.AC_ISSUER, [8], EMPTY],
  [CKA.SERIAL_NUMBER, [8], EMPTY],
  [CKA.ATTR_TYPES, [8], EMPTY],
  [CKA.VALUE, [1]],
];

// The table of the key's type gives the values that the standard calls token-specific (9), unless they are here.

/** Attributes of all keys (PKCS#11 3.1 section 4.7.2). */
export const KEY: readonly Row[] = [
  [CKA.KEY_TYPE, [1, 5]],
  [CKA.ID, [8], EMPTY],
  [CKA.START_DATE, [8], null],
  [CKA.END_DATE, [8], null],
  [CKA.DERIVE, [8], false],
  [CKA.LOCAL, [2, 4, 6]],
  [CKA.KEY_GEN_MECHANISM, [2, 4, 6]],
  [CKA.ALLOWED_MECHANISMS, []],
];

/** Section 4.8. */
export const PUBLIC_KEY: readonly Row[] = [
  [CKA.SUBJECT, [8], EMPTY],
  [CKA.ENCRYPT, [8, 9], false],
  [CKA.VERIFY, [8, 9], false],
  [CKA.VERIFY_RECOVER, [8, 9], false],
  [CKA.WRAP, [8, 9], false],
  [CKA.TRUSTED, [10], false],
  [CKA.WRAP_TEMPLATE, [], {}],
  [CKA.PUBLIC_KEY_INFO, []],
];

/** Section 4.9. */
export const PRIVATE_KEY: readonly Row[] = [
  [CKA.SUBJECT, [8], EMPTY],
  [CKA.SENSITIVE, [8, 9, 11], true],
  [CKA.DECRYPT, [8, 9], false],
  [CKA.SIGN, [8, 9], false],
  [CKA.SIGN_RECOVER, [8, 9], false],
  [CKA.UNWRAP, [8, 9], false],
  [CKA.EXTRACTABLE, [8, 9, 12], false],
  [CKA.ALWAYS_SENSITIVE, [2, 4, 6]],
  [CKA.NEVER_EXTRACTABLE, [2, 4, 6]],
  [CKA.WRAP_WITH_TRUSTED, [11], false],
  [CKA.UNWRAP_TEMPLATE, [], {}],
  [CKA.ALWAYS_AUTHENTICATE, [], false],
  [CKA.PUBLIC_KEY_INFO, []],
  [CKA.DERIVE_TEMPLATE, [], {}],
];

/** Section 4.10. */
export const SECRET_KEY: readonly Row[] = [
  [CKA.SENSITIVE, [8, 11], false],
  [CKA.ENCRYPT, [8, 9], false],
  [CKA.DECRYPT, [8, 9], false],
  [CKA.SIGN, [8, 9], false],
  [CKA.VERIFY, [8, 9], false],
  [CKA.WRAP, [8, 9], false],
  [CKA.UNWRAP, [8, 9], false],
  [CKA.EXTRACTABLE, [8, 9, 12], true],
  [CKA.ALWAYS_SENSITIVE, [2, 4, 6]],
  [CKA.NEVER_EXTRACTABLE, [2, 4, 6]],
  // "C_SetAttributeValue may be used to destroy the attribute, by supplying no-value."
  [CKA.CHECK_VALUE, [8]],
  [CKA.WRAP_WITH_TRUSTED, [11], false],
  [CKA.TRUSTED, [10], false],
  [CKA.WRAP_TEMPLATE, [], {}],
  [CKA.UNWRAP_TEMPLATE, [], {}],
  [CKA.DERIVE_TEMPLATE, [], {}],
];

/** RSA (PKCS#11 3.1 section 6.1.2). */
export const RSA_PUBLIC: readonly Row[] = [
  [CKA.MODULUS, [1, 4]],
  [CKA.MODULUS_BITS, [2, 3]],
  [CKA.PUBLIC_EXPONENT, [1]],
  [CKA.ENCRYPT, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
  [CKA.VERIFY_RECOVER, [8, 9], true],
];

/** Section 6.1.3. */
export const RSA_PRIVATE: readonly Row[] = [
  [CKA.MODULUS, [1, 4, 6]],
  [CKA.PUBLIC_EXPONENT, [1, 4, 6]],
  [CKA.PRIVATE_EXPONENT, [1, 4, 6, 7]],
  [CKA.PRIME_1, [4, 6, 7]],
  [CKA.PRIME_2, [4, 6, 7]],
  [CKA.EXPONENT_1, [4, 6, 7]],
  [CKA.EXPONENT_2, [4, 6, 7]],
  [CKA.COEFFICIENT, [4, 6, 7]],
  [CKA.DECRYPT, [8, 9], true],
  [CKA.SIGN, [8, 9], true],
  [CKA.SIGN_RECOVER, [8, 9], true],
];

/** Short Weierstrass curves (section 6.3.3). */
export const EC_PUBLIC: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 3]],
  [CKA.EC_POINT, [1, 4]],
  [CKA.VERIFY, [8, 9], true],
];

/** Section 6.3.4. */
export const EC_PRIVATE: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 4, 6]],
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.SIGN, [8, 9], true],
];

/** Montgomery curves (sections 6.3.7 and 6.3.8): keys that agree on secrets, which needs CKA_DERIVE. */
export const EC_MONTGOMERY_PUBLIC: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 3]],
  [CKA.EC_POINT, [1, 4]],
];

export const EC_MONTGOMERY_PRIVATE: readonly Row[] = [
  [CKA.EC_PARAMS, [1, 4, 6]],
  [CKA.VALUE, [1, 4, 6, 7]],
];

/** Generic secrets (section 6.8.2), and the keys of HMAC and HKDF, which are alike. */
export const GENERIC_SECRET: readonly Row[] = [
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.VALUE_LEN, [2, 3]],
  [CKA.SIGN, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
];

/** AES (section 6.10.2). */
export const AES: readonly Row[] = [
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.VALUE_LEN, [2, 3]],
  [CKA.ENCRYPT, [8, 9], true],
  [CKA.DECRYPT, [8, 9], true],
  [CKA.SIGN, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
];

/** DES, DES2 and DES3 (section 6.15; the historical mechanisms for DES), whose type determines their length. */
export const DES: readonly Row[] = [
  [CKA.VALUE, [1, 4, 6, 7]],
  [CKA.VALUE_LEN, [2]],
  [CKA.ENCRYPT, [8, 9], true],
  [CKA.DECRYPT, [8, 9], true],
  [CKA.SIGN, [8, 9], true],
  [CKA.VERIFY, [8, 9], true],
];

/** Attributes of all objects that can be created (PKCS#11 3.1 sections 4.2, common attributes, and 4.4, storage objects). */
export const STORAGE: readonly Row[] = [
  [CKA.CLASS, [1]],
  [CKA.UNIQUE_ID, [2, 4, 6]],
  [CKA.TOKEN, [], false],
  [CKA.PRIVATE, [9]],
  [CKA.MODIFIABLE, [], true],
  [CKA.LABEL, [8], ""],
  // "Can't be set to TRUE once it is set to FALSE."
  [CKA.COPYABLE, [8, 12], true],
  [CKA.DESTROYABLE, [], true],
];

/** Data objects (section 4.5). The standard leaves open whether they may be modified; here they may. */
export const DATA: readonly Row[] = [
  [CKA.APPLICATION, [8], ""],
  [CKA.OBJECT_ID, [8], EMPTY],
  [CKA.VALUE, [8], EMPTY],
];

/** Domain parameter objects (section 4.11). */
export const DOMAIN_PARAMETERS: readonly Row[] = [
  [CKA.KEY_TYPE, [1]],
  [CKA.LOCAL, [2, 4]],
];

export const DSA_PARAMETERS: readonly Row[] = [
  [CKA.PRIME, [1, 4]],
  [CKA.SUBPRIME, [1, 4]],
  [CKA.BASE, [1, 4]],
  [CKA.PRIME_BITS, [2, 3]],
];

export const DH_PARAMETERS: readonly Row[] = [
  [CKA.PRIME, [1, 4]],
  [CKA.BASE, [1, 4]],
  [CKA.PRIME_BITS, [2, 3]],
];

export const X9_42_DH_PARAMETERS: readonly Row[] = [
  [CKA.PRIME, [1, 4]],
  [CKA.BASE, [1, 4]],
  [CKA.SUBPRIME, [1, 4]],
  [CKA.PRIME_BITS, [2, 3]],
  [CKA.SUBPRIME_BITS, [2, 3]],
];
