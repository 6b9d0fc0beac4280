import { KEY_TYPES, type KeyTypeInfo, type KeyTypeName } from "../keys/key-type.ts";

/** Cryptographic algorithm identifiers (SP 800-78-5 table 6-2; RSA-4096 and those on Curve25519 as Yubico numbers them). */
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
  ED25519: 0xe0,
  X25519: 0xe1,
} as const;

const KEY_ALGORITHMS: Readonly<Record<KeyTypeName, number>> = {
  "rsa-1024": ALGORITHM.RSA_1024,
  "rsa-2048": ALGORITHM.RSA_2048,
  "rsa-3072": ALGORITHM.RSA_3072,
  "rsa-4096": ALGORITHM.RSA_4096,
  "p-256": ALGORITHM.P256,
  "p-384": ALGORITHM.P384,
  ed25519: ALGORITHM.ED25519,
  x25519: ALGORITHM.X25519,
};
const NAMES = Object.keys(KEY_TYPES) as KeyTypeName[];

/** The kind of key that a two-digit algorithm identifier names, or undefined. */
export function keyTypeOf(algorithm: number): KeyTypeInfo | undefined {
  const name = NAMES.find((candidate) => KEY_ALGORITHMS[candidate] === algorithm);
  return name && KEY_TYPES[name];
}

/** The algorithm identifier of a kind of key. */
export function algorithmOf(info: KeyTypeInfo): number | undefined {
  const name = NAMES.find((candidate) => KEY_TYPES[candidate] === info);
  return name && KEY_ALGORITHMS[name];
}
