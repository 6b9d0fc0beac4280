// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Pseudo-random functions of PKCS#5 PBKDF2. */
export const CKP_PBKD2 = {
  PKCS5_PBKD2_HMAC_SHA1: 0x1,
  PKCS5_PBKD2_HMAC_GOSTR3411: 0x2,
  PKCS5_PBKD2_HMAC_SHA224: 0x3,
  PKCS5_PBKD2_HMAC_SHA256: 0x4,
  PKCS5_PBKD2_HMAC_SHA384: 0x5,
  PKCS5_PBKD2_HMAC_SHA512: 0x6,
  PKCS5_PBKD2_HMAC_SHA512_224: 0x7,
  PKCS5_PBKD2_HMAC_SHA512_256: 0x8,
} as const;
export type CKP_PBKD2 = (typeof CKP_PBKD2)[keyof typeof CKP_PBKD2];

/** Profile identifiers, CKA_PROFILE_ID. */
export const CKP_PROFILE = {
  INVALID_ID: 0x0,
  BASELINE_PROVIDER: 0x1,
  EXTENDED_PROVIDER: 0x2,
  AUTHENTICATION_TOKEN: 0x3,
  PUBLIC_CERTIFICATES_TOKEN: 0x4,
  COMPLETE_PROVIDER: 0x5,
  HKDF_TLS_TOKEN: 0x6,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKP_PROFILE = (typeof CKP_PROFILE)[keyof typeof CKP_PROFILE];

/** Profiles and pseudo-random functions by name. */
export const CKP = {
  ...CKP_PBKD2,
  ...CKP_PROFILE,
} as const;
export type CKP = (typeof CKP)[keyof typeof CKP];
