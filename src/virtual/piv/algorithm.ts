/** Cryptographic algorithm identifiers (SP 800-78-5 table 6-2; RSA-4096 as Yubico numbers it). */
export const ALGORITHM = {
  TDEA: 0x03,
  RSA_3072: 0x05,
  RSA_1024: 0x06,
  RSA_2048: 0x07,
  AES_128: 0x08,
  AES_192: 0x0a,
  AES_256: 0x0c,
  P256: 0x11,
  P384: 0x14,
  RSA_4096: 0x16,
} as const;

/** Kinds of key pair that the card works with. */
export const KEY_TYPES = {
  "rsa-1024": { type: "rsa", algorithm: ALGORITHM.RSA_1024, bits: 1024 },
  "rsa-2048": { type: "rsa", algorithm: ALGORITHM.RSA_2048, bits: 2048 },
  "rsa-3072": { type: "rsa", algorithm: ALGORITHM.RSA_3072, bits: 3072 },
  "rsa-4096": { type: "rsa", algorithm: ALGORITHM.RSA_4096, bits: 4096 },
  "p-256": { type: "ec", algorithm: ALGORITHM.P256, bits: 256, curve: "prime256v1" },
  "p-384": { type: "ec", algorithm: ALGORITHM.P384, bits: 384, curve: "secp384r1" },
} as const;

export type PivKeyType = keyof typeof KEY_TYPES;
export type KeyTypeInfo = (typeof KEY_TYPES)[PivKeyType];
export type EcKeyInfo = Extract<KeyTypeInfo, { type: "ec" }>;

/** The kind of key that a two-digit algorithm identifier names, or undefined. */
export function keyTypeOf(algorithm: number): KeyTypeInfo | undefined {
  return Object.values(KEY_TYPES).find((info) => info.algorithm === algorithm);
}
