import { copySecret } from "../../src/bytes/index.ts";
import type { Call } from "../../src/p11kit/wire/calls.ts";
import { FrameReader } from "../../src/p11kit/wire/frame.ts";
import { encodeError, encodeReply, encodeRequest, type Reply, type Request } from "../../src/p11kit/wire/message.ts";
import type { Dialect } from "../../src/p11kit/wire/values.ts";

/** Bytes of the header of a frame. */
const HEADER = 12;

/** A frame with any body. */
export function frameOf(code: number, body: Uint8Array, options = new Uint8Array()): Uint8Array {
  const frame = Buffer.alloc(HEADER + options.length + body.length);
  frame.writeUInt32BE(code, 0);
  frame.writeUInt32BE(options.length, 4);
  frame.writeUInt32BE(body.length, 8);
  frame.set(options, HEADER);
  frame.set(body, HEADER + options.length);
  return new Uint8Array(frame);
}

function bodyOf(frame: Uint8Array): Uint8Array {
  const header = Buffer.from(frame.subarray(0, HEADER));
  const body = frame.slice(HEADER + header.readUInt32BE(4));
  if (body.length !== header.readUInt32BE(8)) throw new Error("the header has another length than the body");
  return body;
}

export const requestBody = (request: Request, dialect: Dialect): Uint8Array =>
  bodyOf(encodeRequest(1, request, dialect));

export const replyBody = (call: Call, reply: Reply, dialect: Dialect): Uint8Array =>
  bodyOf(encodeReply(1, call, reply, dialect));

export const errorBody = (rv: number): Uint8Array => bodyOf(encodeError(1, rv));

/** A message as a reader hands it out. */
export interface Frame {
  readonly code: number;
  readonly body: Uint8Array;
}

/** The messages in chunks, and what is thrown at them or at their end. */
export function readFrames(
  chunks: Iterable<Uint8Array>,
  limit: number,
): { readonly frames: readonly Frame[]; readonly error: unknown } {
  const frames: Frame[] = [];
  const reader = new FrameReader(limit, (code, body) => frames.push({ code, body }));
  try {
    for (const chunk of chunks) reader.push(copySecret(chunk));
    reader.end();
  } catch (error) {
    return { frames, error };
  }
  return { frames, error: undefined };
}

/** The messages of a stream, one by one. */
export class FrameQueue {
  readonly #reader: FrameReader;
  readonly #frames: Frame[] = [];
  #opening: number | undefined;
  #ended = false;
  #wake = (): void => undefined;

  constructor(stream: NodeJS.ReadableStream, limit: number) {
    this.#reader = new FrameReader(limit, (code, body) => this.#frames.push({ code, body }));
    stream.on("data", (chunk: Uint8Array) => {
      this.#opening ??= chunk[0];
      this.#reader.push(this.#started ? chunk : chunk.subarray(1));
      this.#started = true;
      this.#wake();
    });
    for (const event of ["end", "close"]) {
      stream.on(event, () => {
        this.#ended = true;
        this.#wake();
      });
    }
  }

  #started = false;

  /** The version byte; undefined if the stream ends. */
  async opening(): Promise<number | undefined> {
    while (this.#opening === undefined && !this.#ended) await this.#change();
    return this.#opening;
  }

  /** The next message; undefined at the end of the stream. */
  async next(): Promise<Frame | undefined> {
    while (this.#frames.length === 0 && !this.#ended) await this.#change();
    const frame = this.#frames.shift();
    if (!frame) this.#reader.end();
    return frame;
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
