import { concat } from "../bytes/index.ts";
import { TokenError } from "./error.ts";

/** Data whole, or in parts as they come: a stream of a file, for one. */
export type DataInput = Uint8Array | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Bytes of a message that is kept whole. */
export const MAX_MESSAGE = 1_048_576;

/** The parts of the data. @throws {TokenError} BAD_INPUT for anything that is no data. */
export async function* partsOf(data: DataInput, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  if (data instanceof Uint8Array) {
    yield data;
    return;
  }
  if (!isIterable(data)) {
    throw new TokenError("BAD_INPUT", "data is a Uint8Array, or an async iterable or stream of them");
  }
  for await (const part of data) {
    signal?.throwIfAborted();
    if (!(part instanceof Uint8Array)) {
      throw new TokenError("BAD_INPUT", `a part of the data is of type ${typeof part}; a Uint8Array is wanted`);
    }
    yield part;
  }
}

/** All of the data. @throws {TokenError} BAD_INPUT for more than `max` bytes. */
export async function readAll(data: DataInput, max: number, signal?: AbortSignal): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of partsOf(data, signal)) {
    length += part.length;
    if (length > max)
      throw new TokenError("BAD_INPUT", `a message of more than ${max} bytes, which this key signs whole`);
    parts.push(part);
  }
  return concat(...parts);
}

function isIterable(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === "object" && data !== null && Symbol.asyncIterator in data;
}
