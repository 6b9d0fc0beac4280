// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Notifications to a session's callback. */
export const CKN = {
  SURRENDER: 0,
  OTP_CHANGED: 1,
} as const;
export type CKN = (typeof CKN)[keyof typeof CKN];
