// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Source of the OAEP label, CK_RSA_PKCS_OAEP_SOURCE_TYPE. */
export const CKZ_OAEP = {
  DATA_SPECIFIED: 0x1,
} as const;
export type CKZ_OAEP = (typeof CKZ_OAEP)[keyof typeof CKZ_OAEP];

/** Source of the PBKDF2 salt. */
export const CKZ_PBKD2 = {
  SALT_SPECIFIED: 0x1,
} as const;
export type CKZ_PBKD2 = (typeof CKZ_PBKD2)[keyof typeof CKZ_PBKD2];

/** Sources of the OAEP label and the PBKDF2 salt by name. */
export const CKZ = {
  ...CKZ_OAEP,
  ...CKZ_PBKD2,
} as const;
export type CKZ = (typeof CKZ)[keyof typeof CKZ];
