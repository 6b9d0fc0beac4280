import type { KeyType } from "../card/index.ts";

/** Algorithm identifiers of asymmetric keys, P1 of GENERAL AUTHENTICATE (SP 800-78-5 table 9; 16: Yubico, RSA-4096). */
const RSA = new Map([
  [1024, 0x06],
  [2048, 0x07],
  [3072, 0x05],
  [4096, 0x16],
]);
const EC = new Map([
  ["P-256", 0x11],
  ["P-384", 0x14],
]);

/** The card's identifier for keys of this type, or undefined if PIV has none. */
export function algorithmOf(key: KeyType): number | undefined {
  return key.type === "rsa" ? RSA.get(key.modulusBits) : EC.get(key.curve);
}
