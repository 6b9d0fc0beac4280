import { ByteReader, concatSecret, copySecret, DataError, secretBytes, wipe } from "../../bytes/index.ts";
import { ByteWriter } from "./values.ts";

/** Default limit for the bytes of a message. */
export const DEFAULT_MESSAGE_LIMIT = 16 * 1024 * 1024;
/** The module name in p11-kit's own requests, 6 bytes. */
const OPTIONS_LIMIT = 64 * 1024;
const HEADER_LENGTH = 12;

/** One message. A response has the code of its request. */
export interface Frame {
  readonly code: number;
  readonly body: Uint8Array;
}

/** @param options The client's name for itself; empty in a response. */
export function encodeFrame(code: number, body: Uint8Array, options: Uint8Array = new Uint8Array()): Uint8Array {
  const out = new ByteWriter();
  out.u32(code);
  out.u32(options.length);
  out.u32(body.length);
  return concatSecret(out.finish(), options, body);
}

/** Splits a stream of bytes into messages. Allocates memory only for bytes that have arrived. */
export class FrameReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #limit: number;
  readonly #received: ((bytes: number) => void) | undefined;
  #left: Uint8Array = new Uint8Array();

  /**
   * @param limit Of the body, in bytes.
   * @param received Called with the bytes of an incomplete message; with 0 once it is complete or abandoned.
   */
  constructor(chunks: AsyncIterable<Uint8Array>, limit: number, received?: (bytes: number) => void) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#limit = limit;
    this.#received = received;
  }

  /** The version byte with which each side begins; undefined if the stream ends. */
  async opening(): Promise<number | undefined> {
    return (await this.#take(1))?.[0];
  }

  /**
   * The next message; undefined at the end of the stream.
   * @throws {DataError} if the stream ends within a message, or the message is over the limit.
   */
  async next(): Promise<Frame | undefined> {
    const head = await this.#take(HEADER_LENGTH);
    if (!head) return undefined;
    const header = new ByteReader(head, "a frame");
    const [code, optionsLength, bodyLength] = [header.u32(), header.u32(), header.u32()];
    if (code === 0) throw new DataError("a message with the code 0");
    if (optionsLength > OPTIONS_LIMIT) throw new DataError(`${optionsLength} bytes of options`);
    if (bodyLength > this.#limit) {
      throw new DataError(`a message of ${bodyLength} bytes, over the limit of ${this.#limit}`);
    }
    const rest = await this.#take(optionsLength + bodyLength);
    if (!rest) throw new DataError("the connection ended within a message");
    return { code, body: rest.subarray(optionsLength) };
  }

  /** Exactly `length` bytes, or undefined at the end. */
  async #take(length: number): Promise<Uint8Array | undefined> {
    const parts = [this.#left];
    let got = this.#left.length;
    try {
      while (got < length) {
        this.#received?.(got);
        const next: IteratorResult<Uint8Array, unknown> = await this.#chunks.next();
        if (next.done === true) {
          if (got === 0) return undefined;
          throw new DataError("the connection ended within a message");
        }
        parts.push(next.value);
        got += next.value.length;
      }
    } finally {
      this.#received?.(0);
    }
    const all = parts.length === 1 ? this.#left : joined(parts, got);
    // They may contain a PIN, and the receiver wipes only the message.
    if (parts.length > 1) for (const part of parts) wipe(part);
    // A copy: a view would keep the whole chunk alive.
    const rest = all.subarray(length);
    if (all === this.#left) this.#left = rest;
    else {
      this.#left = copySecret(rest);
      wipe(rest);
    }
    return all.subarray(0, length);
  }
}

/** There may be as many parts as bytes, too many for the arguments of a function. */
function joined(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = secretBytes(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

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
