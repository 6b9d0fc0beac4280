import { ByteReader, DataError } from "../bytes/index.ts";
import { decodeOid, TAG } from "./values.ts";

/** A DER element, as views of the parsed bytes. */
export interface DerElement {
  /** Identifier octet: class, constructed bit and number. */
  readonly tag: number;
  /** Identifier, length and contents. */
  readonly encoding: Uint8Array;
  readonly contents: Uint8Array;
}

export interface BitString {
  /** Unused bits at the end of the last byte, 0 to 7. */
  readonly unusedBits: number;
  readonly bytes: Uint8Array;
}

const MAX_DEPTH = 16;
/** Far above any certificate or directory file of a card. */
const MAX_LENGTH = 0x100000;

/**
 * Reads DER (X.690 section 10) element by element: definite lengths in their shortest form, tag numbers below 31, at
 * most 1 MiB and 16 levels. Every method throws a {@link DataError} if the next element does not have its type, or is
 * not DER.
 */
export class DerReader {
  readonly #bytes: Uint8Array;
  readonly #reader: ByteReader;
  readonly #what: string;
  readonly #depth: number;

  /** @param what The name of the structure, for messages. */
  constructor(bytes: Uint8Array, what = "DER", depth = 0) {
    if (bytes.length > MAX_LENGTH) throw new DataError(`${what}: ${bytes.length} bytes; the limit is ${MAX_LENGTH}`);
    if (depth > MAX_DEPTH) throw new DataError(`${what}: more than ${MAX_DEPTH} levels`);
    this.#bytes = bytes;
    this.#reader = new ByteReader(bytes, what);
    this.#what = what;
    this.#depth = depth;
  }

  get remaining(): number {
    return this.#reader.remaining;
  }

  /** The next element's identifier octet, without reading it; undefined at the end. */
  peek(): number | undefined {
    return this.#reader.peek();
  }

  /** Reads the next element; if `tag` is given, it must have it. */
  next(tag?: number): DerElement {
    const start = this.#reader.offset;
    const identifier = this.#reader.u8();
    if (tag !== undefined && identifier !== tag) {
      throw new DataError(`${this.#what}: tag ${hex(identifier)} at ${start} instead of ${hex(tag)}`);
    }
    if ((identifier & 0x1f) === 0x1f) throw new DataError(`${this.#what}: a tag number above 30 at ${start}`);
    const contents = this.#reader.take(readLength(this.#reader, this.#what));
    return { tag: identifier, encoding: this.#bytes.subarray(start, this.#reader.offset), contents };
  }

  /** Reads the next element if it has this tag; else returns undefined and reads nothing. */
  optional(tag: number): DerElement | undefined {
    return this.peek() === tag ? this.next(tag) : undefined;
  }

  /** A reader for the elements of the next one, which is constructed: a SEQUENCE unless `tag` is given. */
  enter(tag: number = TAG.SEQUENCE, what = this.#what): DerReader {
    return new DerReader(this.next(tag).contents, what, this.#depth + 1);
  }

  /** The contents of an INTEGER: two's complement, at least one byte, the shortest form. */
  integer(): Uint8Array {
    const { contents } = this.next(TAG.INTEGER);
    const [first, second = first] = contents;
    if (first === undefined || second === undefined) throw new DataError(`${this.#what}: an INTEGER without contents`);
    const redundant = contents.length > 1 && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80));
    if (redundant) throw new DataError(`${this.#what}: an INTEGER that is not in its shortest form`);
    return contents;
  }

  /** The magnitude of an INTEGER that must not be negative, most significant byte first, no leading zero; empty for 0. */
  unsigned(): Uint8Array {
    const contents = this.integer();
    const [first = 0] = contents;
    if (first >= 0x80) throw new DataError(`${this.#what}: a negative INTEGER`);
    return first === 0 ? contents.subarray(1) : contents;
  }

  boolean(): boolean {
    const { contents } = this.next(TAG.BOOLEAN);
    const [value] = contents;
    if (contents.length !== 1 || (value !== 0 && value !== 0xff)) {
      throw new DataError(`${this.#what}: a BOOLEAN that is neither 00 nor FF`);
    }
    return value === 0xff;
  }

  /** An OBJECT IDENTIFIER in dotted form. */
  oid(): string {
    return decodeOid(this.next(TAG.OBJECT_IDENTIFIER).contents);
  }

  octetString(): Uint8Array {
    return this.next(TAG.OCTET_STRING).contents;
  }

  bitString(): BitString {
    const { contents } = this.next(TAG.BIT_STRING);
    const [unusedBits = 8] = contents;
    const bytes = contents.subarray(1);
    const padding = (bytes.at(-1) ?? 0) & ((1 << unusedBits) - 1);
    if (unusedBits > 7 || (bytes.length === 0 && unusedBits !== 0) || padding !== 0) {
      throw new DataError(`${this.#what}: a BIT STRING with an invalid count of unused bits`);
    }
    return { unusedBits, bytes };
  }

  /** A BIT STRING of whole bytes. */
  bitStringBytes(): Uint8Array {
    const { unusedBits, bytes } = this.bitString();
    if (unusedBits !== 0) throw new DataError(`${this.#what}: a BIT STRING that is not whole bytes`);
    return bytes;
  }

  null(): void {
    if (this.next(TAG.NULL).contents.length !== 0) throw new DataError(`${this.#what}: a NULL with contents`);
  }

  /** Throws unless every element was read. */
  end(): void {
    this.#reader.end();
  }
}

/**
 * The length of the element that begins at `head`, identifier and length octets included: how much to read from a file
 * that begins with these bytes.
 * @throws {DataError} if `head` ends before the length does (6 bytes are always enough), or it is not DER.
 */
export function derLength(head: Uint8Array): number {
  const reader = new ByteReader(head, "DER");
  if ((reader.u8() & 0x1f) === 0x1f) throw new DataError("DER: a tag number above 30");
  const length = readLength(reader, "DER");
  return reader.offset + length;
}

/** Length octets (X.690 sections 8.1.3 and 10.1): definite, in the fewest bytes, at most {@link MAX_LENGTH}. */
function readLength(reader: ByteReader, what: string): number {
  const first = reader.u8();
  if (first < 0x80) return first;
  if (first === 0x80 || first > 0x84) throw new DataError(`${what}: length octet ${hex(first)}`);
  let length = 0;
  for (const octet of reader.take(first - 0x80)) length = length * 256 + octet;
  const shortest = length < 0x80 ? 0x80 : 0x80 + Math.ceil((32 - Math.clz32(length)) / 8);
  if (first !== shortest || length > MAX_LENGTH)
    throw new DataError(`${what}: length ${length} in ${first - 0x80} bytes`);
  return length;
}

function hex(octet: number): string {
  return octet.toString(16).toUpperCase().padStart(2, "0");
}
