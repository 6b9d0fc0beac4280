import { DataError } from "./bytes.ts";

/**
 * Reads fields from untrusted bytes. Every read checks the remaining length first, because `subarray` clamps silently;
 * a read past the end throws a {@link DataError} that names `what` and the offset.
 */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #what: string;
  #offset = 0;

  /** @param what The name of the structure, for messages. */
  constructor(bytes: Uint8Array, what = "data") {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#advance(1));
  }

  /** 16 bits, most significant byte first. */
  u16(): number {
    return this.#view.getUint16(this.#advance(2));
  }

  /** 32 bits, most significant byte first. */
  u32(): number {
    return this.#view.getUint32(this.#advance(4));
  }

  /** 16 bits, least significant byte first. */
  u16le(): number {
    return this.#view.getUint16(this.#advance(2), true);
  }

  /** 32 bits, least significant byte first. */
  u32le(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }

  /** The next byte, without reading it; `undefined` at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#offset];
  }

  /** A view of the remaining bytes, without reading them. */
  get ahead(): Uint8Array {
    return this.#bytes.subarray(this.#offset);
  }

  /** A view of the next `length` bytes. */
  take(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** A view of the remaining bytes. */
  rest(): Uint8Array {
    return this.take(this.remaining);
  }

  /** Throws unless every byte was read. */
  end(): void {
    const remaining = this.#bytes.length - this.#offset;
    if (remaining !== 0) throw new DataError(`${this.#what}: ${remaining} bytes too many at ${this.#offset}`);
  }

  #advance(length: number): number {
    const remaining = this.#bytes.length - this.#offset;
    if (!Number.isSafeInteger(length) || length < 0 || length > remaining) {
      throw new DataError(`${this.#what}: ${length} bytes needed at ${this.#offset}, ${remaining} left`);
    }
    const start = this.#offset;
    this.#offset += length;
    return start;
  }
}
