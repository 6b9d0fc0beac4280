import { CKC, CKK, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import {
  AES,
  CERTIFICATE,
  DATA,
  DES,
  DH_PARAMETERS,
  DOMAIN_PARAMETERS,
  DSA_PARAMETERS,
  EC_MONTGOMERY_PRIVATE,
  EC_MONTGOMERY_PUBLIC,
  EC_PRIVATE,
  EC_PUBLIC,
  GENERIC_SECRET,
  KEY,
  PRIVATE_KEY,
  PUBLIC_KEY,
  type Row,
  RSA_PRIVATE,
  RSA_PUBLIC,
  type Rules,
  rules,
  SECRET_KEY,
  STORAGE,
  WTLS,
  X_509,
  X_509_ATTR_CERT,
  X9_42_DH_PARAMETERS,
} from "./tables.ts";

/** A class of objects: its rules, or those of each of its types, and the attribute with the type. */
export type ClassRules =
  | { readonly rules: Rules; readonly typedBy?: undefined }
  | { readonly typedBy: typeof CKA.CERTIFICATE_TYPE | typeof CKA.KEY_TYPE; readonly types: ReadonlyMap<number, Rules> };

function typed(
  typedBy: typeof CKA.CERTIFICATE_TYPE | typeof CKA.KEY_TYPE,
  common: readonly (readonly Row[])[],
  types: readonly (readonly [type: number, table: readonly Row[]])[],
): ClassRules {
  return { typedBy, types: new Map(types.map(([type, table]) => [type, rules(STORAGE, ...common, table)])) };
}

/** Keys that are plain bytes (PKCS#11 3.1, HMAC mechanisms: each hash may have its own type). */
const PLAIN_SECRETS: readonly number[] = [
  CKK.GENERIC_SECRET,
  CKK.HKDF,
  CKK.MD5_HMAC,
  CKK.SHA_1_HMAC,
  CKK.SHA224_HMAC,
  CKK.SHA256_HMAC,
  CKK.SHA384_HMAC,
  CKK.SHA512_HMAC,
  CKK.SHA512_224_HMAC,
  CKK.SHA512_256_HMAC,
  CKK.SHA3_224_HMAC,
  CKK.SHA3_256_HMAC,
  CKK.SHA3_384_HMAC,
  CKK.SHA3_512_HMAC,
];

/** The objects that can be created here. Hardware features, mechanisms and profiles are built in. */
export const CLASSES: ReadonlyMap<number, ClassRules> = new Map<number, ClassRules>([
  [CKO.DATA, { rules: rules(STORAGE, DATA) }],
  [
    CKO.CERTIFICATE,
    typed(
      CKA.CERTIFICATE_TYPE,
      [CERTIFICATE],
      [
        [CKC.X_509, X_509],
        [CKC.WTLS, WTLS],
        [CKC.X_509_ATTR_CERT, X_509_ATTR_CERT],
      ],
    ),
  ],
  [
    CKO.PUBLIC_KEY,
    typed(
      CKA.KEY_TYPE,
      [KEY, PUBLIC_KEY],
      [
        [CKK.RSA, RSA_PUBLIC],
        [CKK.EC, EC_PUBLIC],
        [CKK.EC_EDWARDS, EC_PUBLIC],
        [CKK.EC_MONTGOMERY, EC_MONTGOMERY_PUBLIC],
      ],
    ),
  ],
  [
    CKO.PRIVATE_KEY,
    typed(
      CKA.KEY_TYPE,
      [KEY, PRIVATE_KEY],
      [
        [CKK.RSA, RSA_PRIVATE],
        [CKK.EC, EC_PRIVATE],
        [CKK.EC_EDWARDS, EC_PRIVATE],
        [CKK.EC_MONTGOMERY, EC_MONTGOMERY_PRIVATE],
      ],
    ),
  ],
  [
    CKO.SECRET_KEY,
    typed(
      CKA.KEY_TYPE,
      [KEY, SECRET_KEY],
      [
        [CKK.AES, AES],
        [CKK.DES, DES],
        [CKK.DES2, DES],
        [CKK.DES3, DES],
        ...PLAIN_SECRETS.map((type): [number, readonly Row[]] => [type, GENERIC_SECRET]),
      ],
    ),
  ],
  [
    CKO.DOMAIN_PARAMETERS,
    typed(
      CKA.KEY_TYPE,
      [DOMAIN_PARAMETERS],
      [
        [CKK.DSA, DSA_PARAMETERS],
        [CKK.DH, DH_PARAMETERS],
        [CKK.X9_42_DH, X9_42_DH_PARAMETERS],
      ],
    ),
  ],
]);

/**
 * The rules for objects of a class.
 * @param type CKA_KEY_TYPE or CKA_CERTIFICATE_TYPE, for a class with types.
 */
export function rulesOf(objectClass: number | undefined, type: number | undefined): Rules | undefined {
  const found = objectClass === undefined ? undefined : CLASSES.get(objectClass);
  if (found?.typedBy === undefined) return found?.rules;
  return type === undefined ? undefined : found.types.get(type);
}
