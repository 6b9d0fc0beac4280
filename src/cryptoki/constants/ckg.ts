// Values: pkcs11t.h, PKCS#11 Specification Version 3.1, OASIS Standard, 23 July 2023.

/** Mask generation functions of RSA PSS and OAEP. */
export const CKG_MGF = {
  MGF1_SHA1: 0x1,
  MGF1_SHA256: 0x2,
  MGF1_SHA384: 0x3,
  MGF1_SHA512: 0x4,
  MGF1_SHA224: 0x5,
  MGF1_SHA3_224: 0x6,
  MGF1_SHA3_256: 0x7,
  MGF1_SHA3_384: 0x8,
  MGF1_SHA3_512: 0x9,
} as const;
export type CKG_MGF = (typeof CKG_MGF)[keyof typeof CKG_MGF];

/** How a message nonce is made, CK_GENERATOR_FUNCTION. */
export const CKG_GENERATOR = {
  NO_GENERATE: 0x0,
  GENERATE: 0x1,
  GENERATE_COUNTER: 0x2,
  GENERATE_RANDOM: 0x3,
  GENERATE_COUNTER_XOR: 0x4,
} as const;
export type CKG_GENERATOR = (typeof CKG_GENERATOR)[keyof typeof CKG_GENERATOR];

/** Mask generation functions and nonce generators by name. */
export const CKG = {
  ...CKG_MGF,
  ...CKG_GENERATOR,
} as const;
export type CKG = (typeof CKG)[keyof typeof CKG];
