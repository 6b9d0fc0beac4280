import { createCipheriv } from "node:crypto";
import { concat, DataError } from "../bytes/index.ts";
import type { BlockStream } from "./block-stream.ts";
import { toBytes, toNumber } from "./modular.ts";
import { plain } from "./plain.ts";

const BLOCK = 16;

/**
 * AES in counter mode (SP 800-38A section 6.5); both directions are the same.
 * @param counterBits How many of the last bits of the block count, 1 to 128; they begin at 0 again after their highest value.
 * @param block The first counter block, 16 bytes.
 * @throws {DataError} for other lengths; from update, once more has come in than counters last for.
 */
export function counterStream(key: Uint8Array, counterBits: number, block: Uint8Array): BlockStream {
  if (![16, 24, 32].includes(key.length)) throw new DataError(`aes key: ${key.length} bytes`);
  if (block.length !== BLOCK || counterBits < 1 || counterBits > 128) {
    throw new DataError("CTR: a block of 16 bytes, of which 1 to 128 bits count");
  }
  const range = 1n << BigInt(counterBits);
  const first = toNumber(block);
  const low = first % range;
  const open = (counter: bigint) => createCipheriv(`aes-${key.length * 8}-ctr`, key, toBytes(counter, BLOCK));
  let stream = open(first);
  let taken = 0n;
  // OpenSSL counts on into the bits before the counter: there a new stream begins.
  const untilWrap = (range - low) * BigInt(BLOCK);
  const limit = range * BigInt(BLOCK);
  return {
    update(part) {
      const end = taken + BigInt(part.length);
      if (end > limit) throw new DataError("CTR: more data than the counter has values");
      const before = taken < untilWrap && end > untilWrap ? Number(untilWrap - taken) : undefined;
      taken = end;
      if (before === undefined) return plain(stream.update(part));
      const head = stream.update(part.subarray(0, before));
      stream = open(first - low);
      return concat(head, stream.update(part.subarray(before)));
    },
    final: () => plain(stream.final()),
  };
}
