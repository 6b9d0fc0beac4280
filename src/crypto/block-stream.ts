import { createCipheriv, createDecipheriv } from "node:crypto";
import { concatSecret, copySecret, DataError, wipe } from "../bytes/index.ts";
import { type BlockCipher, blockLength } from "./block-cipher.ts";
import { plain } from "./plain.ts";

export type Direction = "encrypt" | "decrypt";

/** A cipher under way: each part gives what can be given. */
export interface BlockStream {
  update(part: Uint8Array): Uint8Array;
  /** @throws {DataError} if what came in is no whole number of blocks, or its padding is wrong. */
  final(): Uint8Array;
}

interface BlockStreamOptions {
  readonly cipher: BlockCipher;
  /** AES: 16, 24 or 32 bytes. 3DES: 24, 16 (two keys) or 8 (single DES). */
  readonly key: Uint8Array;
  /** As long as a block; left out for ECB. */
  readonly iv?: Uint8Array;
  /** PKCS #7. */
  readonly padding: boolean;
}

/** ECB, or CBC with an IV (SP 800-38A). @throws {DataError} for a key or IV of a wrong length. */
export function blockStream(direction: Direction, { cipher, key, iv, padding }: BlockStreamOptions): BlockStream {
  if (iv && iv.length !== blockLength(cipher)) throw new DataError(`${cipher}: an IV of ${iv.length} bytes`);
  const create = direction === "encrypt" ? createCipheriv : createDecipheriv;
  const whole = cipher === "3des" ? threeKeys(key) : copySecret(key);
  try {
    const lengths: readonly number[] = cipher === "3des" ? [24] : [16, 24, 32];
    if (!lengths.includes(whole.length)) throw new DataError(`${cipher} key: ${key.length} bytes`);
    const family = cipher === "3des" ? "des-ede3" : `aes-${whole.length * 8}`;
    const stream = create(`${family}-${iv ? "cbc" : "ecb"}`, whole, iv ?? null).setAutoPadding(padding);
    return {
      update: (part) => plain(stream.update(part)),
      final: () => {
        try {
          return plain(stream.final());
        } catch (cause) {
          throw new DataError(`${cipher}: no whole number of blocks, or wrong padding`, { cause });
        }
      },
    };
  } finally {
    wipe(whole);
  }
}

/** Single and two-key DES as the three-key DES that does the same: OpenSSL 3 has no other. */
function threeKeys(key: Uint8Array): Uint8Array {
  if (key.length === 8) return concatSecret(key, key, key);
  return key.length === 16 ? concatSecret(key, key.subarray(0, 8)) : copySecret(key);
}
