import { concat, DataError } from "../bytes/index.ts";

/** The longest message that the two length bytes can announce. */
const MAX_MESSAGE = 65_535;

/**
 * A message of the vpcd protocol: two bytes of length, most significant first, and the bytes (vsmartcard, vpcd.c).
 * @throws {DataError} if it is empty or does not fit.
 */
export function encodeFrame(message: Uint8Array): Uint8Array {
  const { length } = message;
  if (length === 0 || length > MAX_MESSAGE) throw new DataError(`vpcd message: ${length} bytes, 1 to ${MAX_MESSAGE}`);
  return concat(Uint8Array.of(length >> 8, length & 0xff), message);
}

/** Puts messages together from a byte stream, however TCP cut it. */
export class FrameReader {
  #parts: Uint8Array[] = [];
  #buffered = 0;

  /** The messages that `chunk` completes. */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#parts.push(chunk);
    this.#buffered += chunk.length;
    const messages: Uint8Array[] = [];
    for (let message = this.#next(); message !== undefined; message = this.#next()) messages.push(message);
    return messages;
  }

  #next(): Uint8Array | undefined {
    const wanted = this.#wanted();
    if (this.#buffered < wanted || wanted < 2) return undefined;
    const [first, ...more] = this.#parts;
    const all = first && more.length === 0 ? first : concat(...this.#parts);
    this.#parts = [all.subarray(wanted)];
    this.#buffered -= wanted;
    return all.subarray(2, wanted);
  }

  /** Length of the next message with its length bytes, as far as it is known; they may come in two parts. */
  #wanted(): number {
    if (this.#buffered < 2) return Number.POSITIVE_INFINITY;
    if ((this.#parts[0]?.length ?? 0) < 2) this.#parts = [concat(...this.#parts)];
    const [high = 0, low = 0] = this.#parts[0] ?? [];
    return 2 + ((high << 8) | low);
  }
}
