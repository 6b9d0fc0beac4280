import { createCipheriv } from "node:crypto";
import { DataError } from "../bytes/index.ts";
import type { BlockStream } from "./block-stream.ts";
import { toNumber } from "./modular.ts";
import { plain } from "./plain.ts";

const BLOCK = 16;

/**
 * AES in counter mode (SP 800-38A section 6.5); both directions are the same.
 * @param counterBits How many of the last bits of the block count, 1 to 128. After their highest value nothing comes: OpenSSL
 *   would count on into the bits before them.
 * @param block The first counter block, 16 bytes.
 * @throws {DataError} for other lengths; from update, once more has come in than counters last for.
 */
export function counterStream(key: Uint8Array, counterBits: number, block: Uint8Array): BlockStream {
  if (![16, 24, 32].includes(key.length)) throw new DataError(`aes key: ${key.length} bytes`);
  if (block.length !== BLOCK || counterBits < 1 || counterBits > 128) {
    throw new DataError("CTR: a block of 16 bytes, of which 1 to 128 bits count");
  }
  const stream = createCipheriv(`aes-${key.length * 8}-ctr`, key, block);
  const counters = 1n << BigInt(counterBits);
  let left = (counters - (toNumber(block) % counters)) * BigInt(BLOCK);
  return {
    update(part) {
      if (left < BigInt(part.length)) throw new DataError("CTR: more data than the counter has values");
      left -= BigInt(part.length);
      return plain(stream.update(part));
    },
    final: () => plain(stream.final()),
  };
}
