import { createCipheriv } from "node:crypto";
import { fromHex } from "../../bytes/index.ts";
import { ALGORITHM } from "./algorithm.ts";

/** The value that new cards of many makers come with. */
export const WELL_KNOWN_KEY = /* @__PURE__ */ fromHex("0102030405060708".repeat(3));

/** Algorithms of the card management key (SP 800-78-4 table 5-1), with key and block lengths in bytes. */
export const MANAGEMENT_ALGORITHMS = {
  "3des": { algorithm: ALGORITHM.TDEA, length: 24, block: 8, cipher: "des-ede3-ecb" },
  "aes-128": { algorithm: ALGORITHM.AES_128, length: 16, block: 16, cipher: "aes-128-ecb" },
  "aes-192": { algorithm: ALGORITHM.AES_192, length: 24, block: 16, cipher: "aes-192-ecb" },
  "aes-256": { algorithm: ALGORITHM.AES_256, length: 32, block: 16, cipher: "aes-256-ecb" },
} as const;

export type ManagementAlgorithm = keyof typeof MANAGEMENT_ALGORITHMS;

/** One block encrypted: all that mutual and external authentication need of the cipher on the card's side. */
export function encryptBlock(name: ManagementAlgorithm, key: Uint8Array, block: Uint8Array): Uint8Array {
  const cipher = createCipheriv(MANAGEMENT_ALGORITHMS[name].cipher, key, null).setAutoPadding(false);
  return Buffer.concat([cipher.update(block), cipher.final()]);
}
