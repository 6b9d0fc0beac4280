// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Object classes, CKA_CLASS. */
export const CKO = {
  DATA: 0x0,
  CERTIFICATE: 0x1,
  PUBLIC_KEY: 0x2,
  PRIVATE_KEY: 0x3,
  SECRET_KEY: 0x4,
  HW_FEATURE: 0x5,
  DOMAIN_PARAMETERS: 0x6,
  MECHANISM: 0x7,
  OTP_KEY: 0x8,
  PROFILE: 0x9,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKO = (typeof CKO)[keyof typeof CKO];
