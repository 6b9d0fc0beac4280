// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Hardware feature types, CKA_HW_FEATURE_TYPE. */
export const CKH = {
  MONOTONIC_COUNTER: 0x1,
  CLOCK: 0x2,
  USER_INTERFACE: 0x3,
  VENDOR_DEFINED: 0x80000000,
} as const;
export type CKH = (typeof CKH)[keyof typeof CKH];
