import { createCipheriv, createDecipheriv } from "node:crypto";
import { DataError } from "../bytes/index.ts";
import { plain } from "./plain.ts";

/** Block ciphers of card management keys; the length of the key tells AES-128, -192 and -256 apart. */
export type BlockCipher = "3des" | "aes";

const BLOCK = { "3des": 8, aes: 16 } as const;

/** Bytes of one block. */
export function blockLength(cipher: BlockCipher): number {
  return BLOCK[cipher];
}

/** Encrypts one block by itself (ECB). @throws {DataError} for a key or block of a wrong length. */
export function encryptBlock(cipher: BlockCipher, key: Uint8Array, block: Uint8Array): Uint8Array {
  checkBlock(cipher, block);
  return run(cipher, key, block, createCipheriv);
}

/** Decrypts one block by itself (ECB). @throws {DataError} for a key or block of a wrong length. */
export function decryptBlock(cipher: BlockCipher, key: Uint8Array, block: Uint8Array): Uint8Array {
  checkBlock(cipher, block);
  return run(cipher, key, block, createDecipheriv);
}

function run(
  cipher: BlockCipher,
  key: Uint8Array,
  block: Uint8Array,
  create: typeof createCipheriv | typeof createDecipheriv,
): Uint8Array {
  const name = cipher === "3des" ? "des-ede3-ecb" : `aes-${key.length * 8}-ecb`;
  const lengths: readonly number[] = cipher === "3des" ? [24] : [16, 24, 32];
  if (!lengths.includes(key.length)) throw new DataError(`${cipher} key: ${key.length} bytes`);
  return plain(create(name, key, null).setAutoPadding(false).update(block));
}

function checkBlock(cipher: BlockCipher, block: Uint8Array): void {
  if (block.length !== BLOCK[cipher]) throw new DataError(`${cipher} block: ${block.length} bytes`);
}
