import type { KeyType } from "../card/index.ts";

/** A type of key by one word: "RSA-2048", "P-256". */
export function keyTypeName(type: KeyType): string {
  return type.type === "rsa" ? `RSA-${type.modulusBits}` : type.curve;
}

/**
 * Algorithm identifiers of asymmetric keys, P1 of GENERAL AUTHENTICATE (SP 800-78-5 table 9). 16, E0 and E1 are Yubico's, of firmware 5.7
 * and later (https://docs.yubico.com/yesdk/users-manual/application-piv/apdu/auth-sign.html).
 */
const ALGORITHMS: readonly (readonly [id: number, type: KeyType])[] = [
  [0x05, { type: "rsa", modulusBits: 3072 }],
  [0x06, { type: "rsa", modulusBits: 1024 }],
  [0x07, { type: "rsa", modulusBits: 2048 }],
  [0x11, { type: "ec", curve: "P-256" }],
  [0x14, { type: "ec", curve: "P-384" }],
  [0x16, { type: "rsa", modulusBits: 4096 }],
  [0xe0, { type: "edwards", curve: "Ed25519" }],
  [0xe1, { type: "montgomery", curve: "X25519" }],
];

/** The card's identifier for keys of this type, or undefined if PIV has none. */
export function algorithmOf(key: KeyType): number | undefined {
  const name = keyTypeName(key);
  return ALGORITHMS.find(([, type]) => keyTypeName(type) === name)?.[0];
}

/** The type of keys that an identifier stands for; undefined for one that is not known here. */
export function keyTypeOfAlgorithm(id: number): KeyType | undefined {
  return ALGORITHMS.find(([known]) => known === id)?.[1];
}
