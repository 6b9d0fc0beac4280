import { type Signals, throwIfAborted, untilAborted } from "../async/index.ts";
import { concat } from "../bytes/index.ts";
import { TokenError } from "./error.ts";

/** Data whole, or in parts as they come: a stream of a file, for one. */
export type DataInput = Uint8Array | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array>;

/** Bytes of a message that is kept whole. */
export const MAX_MESSAGE = 1_048_576;

/**
 * The parts of the data. An abort ends the wait for the next part; the source of the data is told to stop.
 * @throws {TokenError} BAD_INPUT for anything that is no data.
 */
export async function* partsOf(data: DataInput, signals?: Signals): AsyncGenerator<Uint8Array> {
  if (data instanceof Uint8Array) {
    yield data;
    return;
  }
  if (isStream(data) && data.locked) throw new TokenError("BAD_INPUT", "the stream of the data has a reader already");
  if (!isStream(data) && !isIterable(data)) {
    throw new TokenError("BAD_INPUT", "data is a Uint8Array, or an async iterable or stream of them");
  }
  const parts: AsyncIterator<unknown> = isStream(data) ? readerOf(data) : data[Symbol.asyncIterator]();
  let isOver = false;
  try {
    for (;;) {
      throwIfAborted(signals);
      const part: IteratorResult<unknown, unknown> = await untilAborted(parts.next(), signals);
      if (part.done === true) {
        isOver = true;
        return;
      }
      const { value } = part;
      if (!(value instanceof Uint8Array)) {
        throw new TokenError("BAD_INPUT", `a part of the data is of type ${typeof value}; a Uint8Array is wanted`);
      }
      yield value;
    }
  } finally {
    // Not awaited: a generator that waits for its own source ends its wait first.
    if (!isOver) stop(parts);
  }
}

/** Unlike the iterator of a stream, it cancels the stream also while a part is waited for. */
function readerOf(stream: ReadableStream<unknown>): AsyncIterator<unknown> {
  const reader = stream.getReader();
  return {
    next: async () => {
      const { done, value } = await reader.read();
      return done ? { done, value: undefined } : { done, value };
    },
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

function stop(parts: AsyncIterator<unknown>): void {
  (async () => parts.return?.())().catch(() => undefined);
}

/** All of the data. @throws {TokenError} BAD_INPUT for more than `max` bytes. */
export async function readAll(data: DataInput, max: number, signals?: Signals): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of partsOf(data, signals)) {
    length += part.length;
    if (length > max) {
      throw new TokenError("BAD_INPUT", `a message of more than ${max} bytes, which this key signs whole`);
    }
    // A source may use its buffer again.
    parts.push(Uint8Array.from(part));
  }
  return concat(...parts);
}

/** @throws {TokenError} BAD_INPUT for anything else than bytes: callers in JavaScript have no types. */
export function requireBytes(bytes: unknown, what: string): asserts bytes is Uint8Array {
  if (bytes instanceof Uint8Array) return;
  throw new TokenError("BAD_INPUT", `${what} is a Uint8Array, not ${typeof bytes}`);
}

/** A copy, since the caller may use the bytes again. @throws {TokenError} BAD_INPUT for anything else than bytes. */
export function copyBytes(bytes: Uint8Array, what: string): Uint8Array {
  requireBytes(bytes, what);
  return Uint8Array.from(bytes);
}

function isStream(data: unknown): data is ReadableStream<unknown> {
  return data instanceof ReadableStream;
}

function isIterable(data: unknown): data is AsyncIterable<unknown> {
  return typeof data === "object" && data !== null && Symbol.asyncIterator in data;
}
