import { concat, wipe } from "../bytes/index.ts";
import { type BlockCipher, blockLength, encryptBlock } from "./block-cipher.ts";
import { type BlockStream, blockStream } from "./block-stream.ts";

/** CMAC (SP 800-38B) of a message that comes in parts. */
export class Cmac {
  readonly #block: number;
  readonly #chain: BlockStream;
  readonly #whole: Uint8Array;
  readonly #padded: Uint8Array;
  /** What waits: the last block is treated differently, and any may be the last. */
  #rest: Uint8Array = new Uint8Array();

  /** @throws {DataError} for a key of a wrong length. */
  constructor(cipher: BlockCipher, key: Uint8Array) {
    this.#block = blockLength(cipher);
    const zero = new Uint8Array(this.#block);
    this.#chain = blockStream("encrypt", { cipher, key, iv: zero, padding: false });
    const start = encryptBlock(cipher, key, zero);
    this.#whole = doubled(start);
    this.#padded = doubled(this.#whole);
    wipe(start);
  }

  update(part: Uint8Array): void {
    const all = concat(this.#rest, part);
    wipe(this.#rest);
    const ready = Math.max(0, Math.floor((all.length - 1) / this.#block) * this.#block);
    if (ready > 0) this.#chain.update(all.subarray(0, ready));
    this.#rest = all.slice(ready);
    wipe(all);
  }

  /** As long as a block. The object is spent after it. */
  final(): Uint8Array {
    const last = new Uint8Array(this.#block);
    last.set(this.#rest);
    const isWhole = this.#rest.length === this.#block;
    if (!isWhole) last[this.#rest.length] = 0x80;
    const mask = isWhole ? this.#whole : this.#padded;
    const mac = this.#chain.update(last.map((byte, index) => byte ^ (mask[index] ?? 0)));
    this.wipe();
    return mac;
  }

  wipe(): void {
    wipe(this.#rest, this.#whole, this.#padded);
  }
}

/** Twice the number in the field of 2^64 or 2^128 elements. */
function doubled(block: Uint8Array): Uint8Array {
  const reduction = block.length === 8 ? 0x1b : 0x87;
  const carry = (block[0] ?? 0) >> 7;
  return block.map((byte, index) => {
    const next = (block[index + 1] ?? 0) >> 7;
    const last = index === block.length - 1;
    return ((byte << 1) | next) ^ (last ? reduction * carry : 0);
  });
}
