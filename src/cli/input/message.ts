import type { Readable } from "node:stream";
import { onAbort } from "../../async/index.ts";
import { Hasher, type HashName } from "../../crypto/index.ts";
import type { CommandContext } from "../context.ts";
import { FileError } from "../output/failures.ts";
import { openInput } from "../output/printer.ts";
import { Progress, sizeText } from "../output/progress.ts";
import { LIMIT, readFailure, requireDataOnStdin } from "./files.ts";

/** Bytes that are read before the key is known. A longer message is hashed while it is read. */
const HEAD = 1 << 20;

/**
 * Data to be signed or verified, from a file or standard input. A short message is held in memory; of a long one only its
 * beginning, and the rest is still to be read.
 */
export class Message {
  readonly #context: CommandContext;
  readonly #name: string;
  readonly #stream: Readable;
  readonly #parts: AsyncIterator<Uint8Array>;
  #head: Uint8Array[] = [];
  #length = 0;
  #ended = false;

  private constructor(context: CommandContext, name: string, stream: Readable) {
    this.#context = context;
    this.#name = name;
    this.#stream = stream;
    this.#parts = stream[Symbol.asyncIterator]();
  }

  /**
   * Opens the file at `path`, or standard input if it is left out or "-", and reads its beginning.
   * @throws {FileError} if it cannot be read; the signal's reason.
   */
  static async open(context: CommandContext, path: string | undefined): Promise<Message> {
    const message = new Message(context, path ?? "standard input", await openStream(context, path));
    await message.#read(HEAD, (part) => message.#head.push(part));
    return message;
  }

  /** The whole message, if it is short; undefined if its end has not been read. */
  get short(): Uint8Array | undefined {
    return this.#ended ? Buffer.concat(this.#head) : undefined;
  }

  /** Reads the message to its end. @throws {FileError} if it is longer than a GiB; the signal's reason. */
  async whole(): Promise<Uint8Array> {
    await this.#readOn((part) => this.#head.push(part), LIMIT.MESSAGE);
    return Buffer.concat(this.#head);
  }

  /** Reads the message to its end, in constant memory. @throws {FileError} if it cannot be read; the signal's reason. */
  async digest(hash: HashName): Promise<Uint8Array> {
    const hasher = new Hasher(hash);
    for (const part of this.#head) hasher.update(part);
    this.#head = [];
    await this.#readOn((part) => {
      hasher.update(part);
    }, Infinity);
    return hasher.digest();
  }

  async #readOn(take: (part: Uint8Array) => void, limit: number): Promise<void> {
    if (this.#ended) return;
    const { environment, print } = this.#context;
    const progress = new Progress(environment, print.json, () => `${sizeText(this.#length)} read`);
    const isWhole = await this.#read(limit, take).finally(() => {
      progress.end();
    });
    if (isWhole) return;
    this.#stream.destroy();
    throw new FileError(`${this.#name} is longer than the limit of ${limit} bytes`);
  }

  /** Reads until more than `limit` bytes are read. @returns Whether that is the whole message. */
  async #read(limit: number, take: (part: Uint8Array) => void): Promise<boolean> {
    const { signal } = this.#context;
    const stop = onAbort(signal, () => this.#stream.destroy());
    try {
      while (!this.#ended && this.#length <= limit) {
        const next = await this.#parts.next();
        this.#ended = next.done === true;
        if (next.done === true) break;
        this.#length += next.value.length;
        take(next.value);
      }
    } catch (cause) {
      signal.throwIfAborted();
      throw readFailure(this.#name, cause);
    } finally {
      stop();
    }
    // A destroyed stream may end without an error.
    signal.throwIfAborted();
    return this.#ended;
  }
}

async function openStream({ environment }: CommandContext, path: string | undefined): Promise<Readable> {
  if (path === undefined || path === "-") return requireDataOnStdin(environment);
  try {
    return await openInput(path);
  } catch (cause) {
    throw readFailure(path, cause);
  }
}
