// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** User types, for C_Login. */
export const CKU = {
  SO: 0,
  USER: 1,
  CONTEXT_SPECIFIC: 2,
} as const;
export type CKU = (typeof CKU)[keyof typeof CKU];
