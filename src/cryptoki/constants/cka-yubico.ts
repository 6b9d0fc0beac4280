/**
 * Attributes of private keys by the numbers of Yubico's own PKCS#11 module (yubico-piv-tool, ykcs11/pkcs11y.h), which a card with
 * Yubico's commands has: CK_ULONG, the number that the card gives.
 */
export const CKA_YUBICO = {
  /** When the key wants a touch: 1 never, 2 for each use, 3 not again for 15 seconds. */
  TOUCH_POLICY: 0xd9554201,
  /** When it wants the PIN: 1 never, 2 once, 3 for each use; 4 and 5 are 2 and 3 with a fingerprint in place of the PIN. */
  PIN_POLICY: 0xd9554202,
} as const;
export type CKA_YUBICO = (typeof CKA_YUBICO)[keyof typeof CKA_YUBICO];
