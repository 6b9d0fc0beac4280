import { ByteReader, DataError, secretBytes, wipe } from "../../bytes/index.ts";

/** Default limit for the bytes of a message. */
export const DEFAULT_MESSAGE_LIMIT = 16 * 1024 * 1024;
/** The module name in p11-kit's own requests, 6 bytes. */
const OPTIONS_LIMIT = 64 * 1024;
/** Three numbers of 32 bits: the code, and the lengths of options and body. */
export const HEADER_LENGTH = 12;
/** A body that takes up less of its chunk is copied, so that it does not keep the whole chunk in memory. */
const SHARE_OF_CHUNK = 1 / 4;

/** Receives a message. A response has the code of its request. The receiver owns the body, and wipes it. */
export type FrameSink = (code: number, body: Uint8Array) => void;

/**
 * Splits a stream of bytes into messages, each in one pass over its bytes. Allocates memory only for bytes that have
 * arrived.
 */
export class FrameReader {
  readonly #limit: number;
  readonly #sink: FrameSink;
  readonly #received: ((bytes: number) => void) | undefined;
  /** The header of the present message, as far as it has arrived. */
  readonly #header = new Uint8Array(HEADER_LENGTH);
  #headerLength = 0;
  #code = 0;
  /** Bytes of options that have not arrived. */
  #optionsLeft = 0;
  #bodyLength = 0;
  /** The body, as far as it has arrived in earlier chunks, with room for more. */
  #body = EMPTY;
  #bodyArrived = 0;

  /**
   * @param limit Of the body, in bytes.
   * @param received Called with the bytes of an incomplete message; with 0 once it is complete or abandoned.
   */
  constructor(limit: number, sink: FrameSink, received?: (bytes: number) => void) {
    this.#limit = limit;
    this.#sink = sink;
    this.#received = received;
  }

  /**
   * Takes the next bytes, and hands each message that is complete to the sink, before it returns.
   * @param chunk Given away: a body may be a view of it, and what is copied is wiped.
   * @throws {DataError} if they are no messages, or one is over the limit.
   */
  push(chunk: Uint8Array): void {
    const wasIncomplete = this.#headerLength > 0;
    let at = 0;
    while (at < chunk.length) {
      if (this.#headerLength < HEADER_LENGTH) at = this.#readHeader(chunk, at);
      const skipped = Math.min(this.#optionsLeft, chunk.length - at);
      this.#optionsLeft -= skipped;
      at += skipped;
      if (this.#headerLength < HEADER_LENGTH || this.#optionsLeft > 0) break;
      const end = Math.min(chunk.length, at + this.#bodyLength - this.#bodyArrived);
      const part = chunk.subarray(at, end);
      const isWhole = part.length === this.#bodyLength;
      if (isWhole && end === chunk.length && part.length >= SHARE_OF_CHUNK * chunk.buffer.byteLength) this.#body = part;
      else this.#append(part);
      this.#bodyArrived += part.length;
      at = end;
      if (this.#bodyArrived === this.#bodyLength) this.#complete();
    }
    if (this.#headerLength > 0) this.#received?.(this.#headerLength + this.#bodyArrived);
    else if (wasIncomplete) this.#received?.(0);
  }

  /**
   * The stream has ended.
   * @throws {DataError} within a message.
   */
  end(): void {
    wipe(this.#body);
    this.#body = EMPTY;
    this.#received?.(0);
    if (this.#headerLength > 0) throw new DataError("the connection ended within a message");
  }

  /** @returns Where the header ends in the chunk, or the chunk's end. */
  #readHeader(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + HEADER_LENGTH - this.#headerLength);
    this.#header.set(chunk.subarray(at, end), this.#headerLength);
    this.#headerLength += end - at;
    if (this.#headerLength < HEADER_LENGTH) return end;
    const header = new ByteReader(this.#header, "a frame");
    const [code, optionsLength, bodyLength] = [header.u32(), header.u32(), header.u32()];
    if (code === 0) throw new DataError("a message with the code 0");
    if (optionsLength > OPTIONS_LIMIT) throw new DataError(`${optionsLength} bytes of options`);
    if (bodyLength > this.#limit) {
      throw new DataError(`a message of ${bodyLength} bytes, over the limit of ${this.#limit}`);
    }
    this.#code = code;
    this.#optionsLeft = optionsLength;
    this.#bodyLength = bodyLength;
    return end;
  }

  /** Copies a part of the body, and wipes it: it may contain a PIN, and the receiver wipes only the message. */
  #append(part: Uint8Array): void {
    const length = this.#bodyArrived + part.length;
    if (length > this.#body.length) {
      const before = this.#body;
      this.#body = secretBytes(Math.min(this.#bodyLength, Math.max(2 * before.length, length)));
      this.#body.set(before);
      wipe(before);
    }
    this.#body.set(part, this.#bodyArrived);
    wipe(part);
  }

  #complete(): void {
    const body = this.#body;
    this.#body = EMPTY;
    this.#headerLength = 0;
    this.#bodyArrived = 0;
    this.#sink(this.#code, body);
  }
}

const EMPTY: Uint8Array = new Uint8Array();

/** A connection that may have an incomplete message. */
interface Receiver {
  /** Ends the connection. */
  readonly cutOff: () => void;
  bytes: number;
}

/** Bytes that must arrive for a connection to count as making progress: single bytes do not. */
const STEP = 64 * 1024;
/** Bytes. Cutting off a connection that holds fewer frees almost nothing. */
const LITTLE = 4 * 1024;

/**
 * A memory limit for incomplete messages of all connections together. Over it, the connection whose message has made no
 * progress for the longest time is cut off. Connections that hold little are cut off last.
 */
export class FrameBudget {
  readonly #limit: number;
  /** In the order of their last progress. */
  readonly #receivers = new Set<Receiver>();
  #total = 0;

  /** @param limit Bytes for all connections together. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Adds a connection.
   * @param cutOff Ends it.
   * @returns Call it with the bytes of an incomplete message; with 0 once it is complete, or the connection has ended.
   */
  receiver(cutOff: () => void): (bytes: number) => void {
    const receiver: Receiver = { cutOff, bytes: 0 };
    return (bytes) => {
      const hasMoved = Math.floor(bytes / STEP) > Math.floor(receiver.bytes / STEP);
      this.#total += bytes - receiver.bytes;
      receiver.bytes = bytes;
      if (bytes === 0 || hasMoved) this.#receivers.delete(receiver);
      if (bytes > 0) this.#receivers.add(receiver);
      while (this.#total > this.#limit) this.#cutOffStalest();
    };
  }

  #cutOffStalest(): void {
    const [oldest, ...newer] = this.#receivers;
    const stalest = [oldest, ...newer].find((one) => one !== undefined && one.bytes >= LITTLE) ?? oldest;
    if (!stalest) return;
    this.#receivers.delete(stalest);
    this.#total -= stalest.bytes;
    stalest.bytes = 0;
    stalest.cutOff();
  }
}
