import { MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { ByteReader, concat } from "../bytes/index.ts";
import { type BufferName, readBuffer } from "./commands.ts";
import type { Place } from "./place.ts";
import type { CacExchange, CacSession } from "./session.ts";

/** The most bytes that one READ BUFFER asks for: what cards of all makers gave (cackey, CACKEY_APDU_MTU). */
const MAX_PART = 250;
/** The length of the buffer stands in front of it, least significant byte first. */
const LENGTH_FIELD = 2;
/** What offsets of two bytes reach. */
const MAX_LENGTH = 0x10000;
/** The most exchanges for one buffer, also when the card hands out a byte at a time. */
const MAX_EXCHANGES = 1024;

/**
 * A buffer of an object on the card, read as far as somebody wants it and no byte twice.
 */
export class BufferFile {
  readonly #session: CacSession;
  readonly #place: Place;
  readonly #buffer: BufferName;
  /** What was read, its length in front. */
  #bytes: Uint8Array = new Uint8Array();
  #exchanges = 0;
  /** The card refuses to be asked for more than there is. */
  #exact = false;

  constructor(session: CacSession, place: Place, buffer: BufferName) {
    this.#session = session;
    this.#place = place;
    this.#buffer = buffer;
  }

  /**
   * At least the first `wanted` bytes of the buffer, or all of it if it is shorter.
   * @throws {NoSuchPlaceError} if it is not on the card; {StatusError} for any other refusal, 6982 if it is guarded by the PIN;
   *   {MalformedAnswerError} if the card gives less than the buffer's length.
   */
  async read(wanted = Infinity): Promise<Uint8Array> {
    if (this.#missing(wanted) > 0) await this.#session.reading(this.#place, (send) => this.#fetch(send, wanted));
    return this.#bytes.subarray(LENGTH_FIELD);
  }

  /** Has everything read again. */
  forget(): void {
    this.#bytes = new Uint8Array();
    this.#exchanges = 0;
  }

  /** Bytes of the whole buffer; undefined before the first {@link read}. */
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
        throw new MalformedAnswerError(
          `the card gives ${this.#bytes.length} bytes of a buffer and no more, ${promised}`,
        );
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
    // Some cards give nothing where more is asked for than there is (cackey, cackey_read_buffer).
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
