// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Certificate types, CKA_CERTIFICATE_TYPE. */
export const CKC = {
  X_509: 0x0,
  X_509_ATTR_CERT: 0x1,
  WTLS: 0x2,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKC = (typeof CKC)[keyof typeof CKC];
