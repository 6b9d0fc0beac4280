import { ByteReader, concat, DataError, fromUtf8, utf8 } from "../bytes/index.ts";

/** 32 bits, most significant byte first (RFC 4251 section 5). */
export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** Four bytes of length, then the bytes (RFC 4251 section 5). */
export function string(content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === "string" ? utf8(content) : content;
  return concat(uint32(bytes.length), bytes);
}

/** mpint of a number that is not negative, most significant byte first (RFC 4251 section 5). */
export function integer(number: Uint8Array): Uint8Array {
  const start = number.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? new Uint8Array() : number.subarray(start);
  return string((digits[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), digits) : digits);
}

/** Reads the data types of RFC 4251 section 5. Every method throws a {@link DataError} past the end. */
export class WireReader {
  readonly #reader: ByteReader;
  readonly #what: string;

  /** @param what The name of the structure, for errors. */
  constructor(bytes: Uint8Array, what: string) {
    this.#reader = new ByteReader(bytes, what);
    this.#what = what;
  }

  get remaining(): number {
    return this.#reader.remaining;
  }

  byte(): number {
    return this.#reader.u8();
  }

  boolean(): boolean {
    return this.#reader.u8() !== 0;
  }

  uint32(): number {
    return this.#reader.u32();
  }

  uint64(): bigint {
    const high = BigInt(this.#reader.u32());
    return (high << 32n) | BigInt(this.#reader.u32());
  }

  /** A view of the bytes. */
  string(): Uint8Array {
    return this.#reader.take(this.#reader.u32());
  }

  text(): string {
    return fromUtf8(this.string());
  }

  /** mpint; most significant byte first. @throws {DataError} for a negative number, and for one with needless zeros. */
  integer(): Uint8Array {
    const bytes = this.string();
    const [first = 0, second = 0] = bytes;
    if (first >= 0x80) throw new DataError(`${this.#what}: a negative number`);
    if (bytes.length > 0 && first === 0 && second < 0x80)
      throw new DataError(`${this.#what}: a number with zeros before`);
    return first === 0 ? bytes.subarray(1) : bytes;
  }

  rest(): Uint8Array {
    return this.#reader.rest();
  }

  end(): void {
    this.#reader.end();
  }
}
