// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Numbers with a meaning of their own, without a type. */
export const CK = {
  /** All ones. CK_ULONG is 32 bits wide on one machine and 64 on another; here it is always this number. */
  UNAVAILABLE_INFORMATION: 0xffffffff,
  EFFECTIVELY_INFINITE: 0,
  INVALID_HANDLE: 0,
} as const;
export type CK = (typeof CK)[keyof typeof CK];

/** Values of CKA_CERTIFICATE_CATEGORY. */
export const CK_CERTIFICATE_CATEGORY = {
  UNSPECIFIED: 0,
  TOKEN_USER: 1,
  AUTHORITY: 2,
  OTHER_ENTITY: 3,
} as const;
export type CK_CERTIFICATE_CATEGORY = (typeof CK_CERTIFICATE_CATEGORY)[keyof typeof CK_CERTIFICATE_CATEGORY];

/** Values of CKA_JAVA_MIDP_SECURITY_DOMAIN. */
export const CK_SECURITY_DOMAIN = {
  UNSPECIFIED: 0,
  MANUFACTURER: 1,
  OPERATOR: 2,
  THIRD_PARTY: 3,
} as const;
export type CK_SECURITY_DOMAIN = (typeof CK_SECURITY_DOMAIN)[keyof typeof CK_SECURITY_DOMAIN];

/** Values of CKA_OTP_FORMAT. */
export const CK_OTP_FORMAT = {
  DECIMAL: 0,
  HEXADECIMAL: 1,
  ALPHANUMERIC: 2,
  BINARY: 3,
} as const;
export type CK_OTP_FORMAT = (typeof CK_OTP_FORMAT)[keyof typeof CK_OTP_FORMAT];

/** Values of CKA_OTP_*_REQUIREMENT. */
export const CK_OTP_PARAM = {
  IGNORED: 0,
  OPTIONAL: 1,
  MANDATORY: 2,
} as const;
export type CK_OTP_PARAM = (typeof CK_OTP_PARAM)[keyof typeof CK_OTP_PARAM];

/** Parameters of one-time password mechanisms, CK_OTP_PARAM_TYPE. */
export const CK_OTP = {
  VALUE: 0,
  PIN: 1,
  CHALLENGE: 2,
  TIME: 3,
  COUNTER: 4,
  FLAGS: 5,
  OUTPUT_LENGTH: 6,
  OUTPUT_FORMAT: 7,
} as const;
export type CK_OTP = (typeof CK_OTP)[keyof typeof CK_OTP];

/** Types of data fields in SP 800-108 key derivation, CK_PRF_DATA_TYPE. */
export const CK_SP800_108 = {
  ITERATION_VARIABLE: 0x1,
  OPTIONAL_COUNTER: 0x2,
  DKM_LENGTH: 0x3,
  BYTE_ARRAY: 0x4,

  // Older names of values above.
  COUNTER: 0x2,
} as const;
export type CK_SP800_108 = (typeof CK_SP800_108)[keyof typeof CK_SP800_108];

/** How SP 800-108 key derivation counts the length of what it derives. */
export const CK_SP800_108_DKM_LENGTH = {
  SUM_OF_KEYS: 0x1,
  SUM_OF_SEGMENTS: 0x2,
} as const;
export type CK_SP800_108_DKM_LENGTH = (typeof CK_SP800_108_DKM_LENGTH)[keyof typeof CK_SP800_108_DKM_LENGTH];
