import { Buffer } from "node:buffer";
import { Readable, Writable } from "node:stream";
import type { Environment } from "../../src/cli/output/printer.ts";
import { run } from "../../src/cli/program.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Uint8Array;
}

export interface Given {
  readonly stdin?: string | Uint8Array;
  /** What is typed on a terminal that standard input claims to be. */
  readonly typed?: string;
  readonly env?: Environment["env"];
  readonly signal?: AbortSignal;
  /** Both output streams claim to be terminals. */
  readonly terminal?: boolean;
  /** Called with all of standard output so far, after each piece. */
  readonly onOutput?: (soFar: string) => void;
}

/** Runs a command line in this process, and collects what it prints. */
export async function cryptoki(args: readonly string[], given: Given = {}): Promise<Outcome> {
  const stdout = new Collector(given.terminal ?? false, given.onOutput);
  const stderr = new Collector(given.terminal ?? false);
  const code = await run(args, {
    stdin: inputOf(given),
    stdout,
    stderr,
    env: given.env ?? {},
    signal: given.signal ?? new AbortController().signal,
  });
  return { code, bytes: stdout.bytes, stdout: stdout.bytes.toString("utf8"), stderr: stderr.bytes.toString("utf8") };
}

function inputOf({ stdin, typed }: Given): Readable & { readonly isTTY?: boolean } {
  if (typed !== undefined) return Object.assign(Readable.from([Buffer.from(typed)]), { isTTY: true });
  return Readable.from(stdin === undefined ? [] : [Buffer.from(stdin)]);
}

/** Keeps copies of what is written: the program may wipe a chunk once it is taken. */
class Collector extends Writable {
  readonly isTTY: boolean;
  readonly columns = 100;
  readonly #onOutput: ((soFar: string) => void) | undefined;
  bytes: Buffer = Buffer.alloc(0);

  constructor(isTTY: boolean, onOutput?: (soFar: string) => void) {
    super({ decodeStrings: true });
    this.isTTY = isTTY;
    this.#onOutput = onOutput;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, taken: () => void): void {
    this.bytes = Buffer.concat([this.bytes, chunk]);
    this.#onOutput?.(this.bytes.toString("utf8"));
    taken();
  }
}

/** What a command printed with --json. */
export function json(outcome: Outcome): unknown {
  return JSON.parse(outcome.stdout);
}

/** The error that a command told with --json. */
export function jsonError(outcome: Outcome): unknown {
  return (JSON.parse(outcome.stderr.trim().split("\n").at(-1) ?? "") as { error: unknown }).error;
}
