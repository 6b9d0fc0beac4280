import { MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { ByteReader, concat, DataError } from "../bytes/index.ts";
import { type BufferName, type AppletAddress, readBuffer } from "./commands.ts";
import type { CacExchange, CacSession } from "./session.ts";

/** Most bytes that one READ BUFFER requests: a length that cards of all makers accept (cackey, CACKEY_APDU_MTU). */
const MAX_PART = 250;
/** The buffer's length comes first, least significant byte first. */
const LENGTH_FIELD = 2;
/** Limit of two-byte offsets. */
const MAX_LENGTH = 0x10000;
/** Most exchanges for one buffer, also if the card returns a byte at a time. */
const MAX_EXCHANGES = 1024;

/** A buffer of an object on the card, read as far as needed; no byte is read twice. */
export class BufferFile {
  readonly #session: CacSession;
  readonly #place: AppletAddress;
  readonly #buffer: BufferName;
  /** The bytes read so far, with the length at the beginning. */
  #bytes: Uint8Array = new Uint8Array();
  #exchanges = 0;
  /** Whether the card refuses requests beyond the buffer's end. */
  #exact = false;

  constructor(session: CacSession, place: AppletAddress, buffer: BufferName) {
    this.#session = session;
    this.#place = place;
    this.#buffer = buffer;
  }

  /**
   * Reads at least the first `wanted` bytes of the buffer, or all of it if it is shorter.
   * @throws {NoSuchPlaceError} if it is not on the card; {StatusError} for any other refusal, 6982 if it needs the PIN;
   *   {MalformedAnswerError} if the card returns less than the buffer's length.
   */
  async read(wanted = Infinity): Promise<Uint8Array> {
    if (this.#missing(wanted) > 0) await this.#session.reading(this.#place, (send) => this.#fetch(send, wanted));
    return this.#bytes.subarray(LENGTH_FIELD);
  }

  /** Forgets everything that was read. */
  forget(): void {
    this.#bytes = new Uint8Array();
    this.#exchanges = 0;
  }

  /** Length of the whole buffer in bytes; undefined before the first {@link read}. */
  get length(): number | undefined {
    if (this.#bytes.length < LENGTH_FIELD) return undefined;
    return new ByteReader(this.#bytes).u16le();
  }

  #missing(wanted: number): number {
    const { length } = this;
    if (length === undefined) return LENGTH_FIELD;
    return LENGTH_FIELD + Math.min(wanted, length) - this.#bytes.length;
  }

  async #fetch(send: CacExchange, wanted: number): Promise<void> {
    while (this.#missing(wanted) > 0) {
      const part = await this.#part(send);
      const { length } = this;
      if (part.length === 0 || this.#exchanges > MAX_EXCHANGES || this.#bytes.length + part.length > MAX_LENGTH) {
        const promised = length === undefined ? "it should have" : `of ${length} bytes`;
        throw new MalformedAnswerError(`the card returned only ${this.#bytes.length} bytes of a buffer, ${promised}`);
      }
      this.#bytes = concat(this.#bytes, part);
    }
    const { length = 0 } = this;
    if (this.#bytes.length > LENGTH_FIELD + length) this.#bytes = this.#bytes.slice(0, LENGTH_FIELD + length);
  }

  async #part(send: CacExchange): Promise<Uint8Array> {
    const { length } = this;
    const offset = this.#bytes.length;
    const size = length === undefined ? this.#firstSize() : Math.min(LENGTH_FIELD + length - offset, MAX_PART);
    const answer = await this.#ask(send, offset, size);
    // Some cards return nothing if more is requested than there is (cackey, cackey_read_buffer).
    if (answer.sw === SW.INCORRECT_P1_P2 && length === undefined && !this.#exact) {
      this.#exact = true;
      return this.#part(send);
    }
    if (answer.sw !== SW.OK) throw new StatusError(`READ BUFFER, ${this.#buffer.toLowerCase()}`, answer.sw);
    return answer.data.subarray(0, size);
  }

  #firstSize(): number {
    return this.#exact ? LENGTH_FIELD : MAX_PART;
  }

  #ask(send: CacExchange, offset: number, size: number): Promise<ResponseApdu> {
    this.#exchanges++;
    return send(readBuffer(this.#buffer, offset, size));
  }
}

/**
 * A SIMPLE-TLV data object (ISO/IEC 7816-4 section 5.2.1); CAC cards write long lengths least significant byte first.
 */
export interface SimpleTlv {
  /** One byte. */
  readonly tag: number;
  readonly value: Uint8Array;
}

/** The tag and length of a data object; the value is in another buffer. */
export interface TagLength {
  readonly tag: number;
  readonly length: number;
}

/**
 * Parses a tag buffer: tags with lengths, concatenated (GSC-IS 2.1 section 8.4).
 * @throws {DataError} if the last one is cut off.
 */
export function readTagLengths(bytes: Uint8Array, what = "tag buffer"): TagLength[] {
  const reader = new ByteReader(bytes, what);
  const found: TagLength[] = [];
  while (reader.remaining > 0) found.push(readTagLength(reader));
  return found;
}

/**
 * Parses data objects with tag, length and value.
 * @throws {DataError} if the last one is cut off.
 */
export function readSimpleTlvs(bytes: Uint8Array, what = "SIMPLE-TLV"): SimpleTlv[] {
  const reader = new ByteReader(bytes, what);
  const found: SimpleTlv[] = [];
  while (reader.remaining > 0) {
    const { tag, length } = readTagLength(reader);
    found.push({ tag, value: reader.take(length) });
  }
  return found;
}

function readTagLength(reader: ByteReader): TagLength {
  const tag = reader.u8();
  const length = reader.u8();
  return { tag, length: length === 0xff ? reader.u16le() : length };
}

/**
 * Combines the tags of one buffer with the values of the other.
 * @throws {DataError} if the values are shorter than the lengths say.
 */
export function joinBuffers(tags: readonly TagLength[], values: Uint8Array, what = "container"): SimpleTlv[] {
  const reader = new ByteReader(values, what);
  return tags.map(({ tag, length }) => ({ tag, value: reader.take(length) }));
}

/** Encodes data objects. @throws {DataError} for a value of more than 65,535 bytes. */
export function encodeSimpleTlvs(objects: readonly SimpleTlv[]): Uint8Array {
  return concat(...objects.flatMap(({ tag, value }) => [head(tag, value.length), value]));
}

function head(tag: number, length: number): Uint8Array {
  if (length > 0xffff) throw new DataError(`SIMPLE-TLV: a value of ${length} bytes; the limit is 65535`);
  return length < 0xff ? Uint8Array.of(tag, length) : Uint8Array.of(tag, 0xff, length & 0xff, length >> 8);
}

/** The value of the first data object with `tag`, or undefined. */
export function findSimpleTlv(objects: readonly SimpleTlv[], tag: number): Uint8Array | undefined {
  return objects.find((object) => object.tag === tag)?.value;
}
