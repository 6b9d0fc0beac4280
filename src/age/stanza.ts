import type { Readable, Writable } from "node:stream";
import { SerialQueue } from "../async/index.ts";
import { DataError, fromUtf8 } from "../bytes/index.ts";
import { base64, fromBase64 } from "./recipient.ts";

/** A line of arguments and a body, as age's files and plugins have them (C2SP age.md, age-plugin.md). */
export interface Stanza {
  readonly args: readonly string[];
  readonly body: Uint8Array;
}

const COLUMNS = 64;
/** Longest line, and longest body, in bytes. */
const MAX_LINE = 16 * 1024;
const MAX_BODY = 1024 * 1024;

const ARGUMENT = /^[\x21-\x7e]+$/u;

/** The body ends with a line that is not full, which may be empty. */
export function encodeStanza({ args, body }: Stanza): string {
  const text = base64(body);
  const lines: string[] = text.match(/.{1,64}/gu) ?? [];
  if (text.length % COLUMNS === 0) lines.push("");
  return `-> ${args.join(" ")}\n${lines.join("\n")}\n`;
}

/** Stanzas over the streams of a plugin. */
export class StanzaStream {
  readonly #lines: AsyncGenerator<string>;
  readonly #output: Writable;
  readonly #queue = new SerialQueue();

  constructor(input: Readable, output: Writable) {
    this.#lines = linesOf(input);
    this.#output = output;
  }

  write(args: readonly string[], body: Uint8Array = new Uint8Array()): void {
    this.#output.write(encodeStanza({ args, body }));
  }

  /** Sends a command and gives the answer to it. Several wait for each other. */
  exchange(args: readonly string[], body: Uint8Array): Promise<Stanza> {
    return this.#queue.run(async () => {
      this.write(args, body);
      const answer = await this.read();
      if (!answer) throw new DataError("age: no answer");
      return answer;
    });
  }

  /** The next stanza; undefined at the end. @throws {DataError} for anything else. */
  async read(): Promise<Stanza | undefined> {
    const first = await this.#lines.next();
    if (first.done === true) return undefined;
    if (!first.value.startsWith("-> ")) throw new DataError('age: a stanza begins with "-> "');
    const args = first.value.slice(3).split(" ");
    if (!args.every((arg) => ARGUMENT.test(arg))) throw new DataError("age: an argument is empty, or not of ASCII");
    let text = "";
    for (;;) {
      const { value, done } = (await this.#lines.next()) as IteratorResult<string, undefined>;
      if (done === true) throw new DataError("age: a stanza without its end");
      if (value.length > COLUMNS) throw new DataError(`age: a line of ${value.length} characters in a body`);
      text += value;
      if (text.length > MAX_BODY) throw new DataError(`age: a body of more than ${MAX_BODY} characters`);
      if (value.length < COLUMNS) return { args, body: fromBase64(text) };
    }
  }
}

async function* linesOf(input: Readable): AsyncGenerator<string> {
  let ahead = "";
  for await (const chunk of input) {
    ahead += fromUtf8(chunk as Uint8Array);
    for (let end = ahead.indexOf("\n"); end >= 0; end = ahead.indexOf("\n")) {
      yield ahead.slice(0, end);
      ahead = ahead.slice(end + 1);
    }
    if (ahead.length > MAX_LINE) throw new DataError(`age: a line of more than ${MAX_LINE} characters`);
  }
  if (ahead !== "") throw new DataError("age: the last line has no end");
}
