import { Buffer } from "node:buffer";
import { PassThrough, Readable } from "node:stream";
import type { Environment } from "../../src/cli/environment.ts";
import { run } from "../../src/cli/run.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly bytes: Uint8Array;
}

export interface Given {
  readonly stdin?: string | Uint8Array;
  readonly env?: Environment["env"];
  readonly signal?: AbortSignal;
  /** Both output streams claim to be terminals. */
  readonly terminal?: boolean;
  /** Called with all of standard output so far, after each piece. */
  readonly onOutput?: (soFar: string) => void;
}

/** Runs a command line in this process, and collects what it prints. */
export async function cryptoki(args: readonly string[], given: Given = {}): Promise<Outcome> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()].map((stream) =>
    Object.assign(stream, { isTTY: given.terminal ?? false, columns: 100 }),
  );
  if (!stdout || !stderr) throw new Error("two streams");
  const written = [collect(stdout, given.onOutput), collect(stderr)] as const;
  const code = await run(args, {
    stdin: Readable.from(given.stdin === undefined ? [] : [Buffer.from(given.stdin)]),
    stdout,
    stderr,
    env: given.env ?? {},
    signal: given.signal ?? new AbortController().signal,
  });
  stdout.end();
  stderr.end();
  const [bytes, errors] = await Promise.all(written);
  return { code, bytes, stdout: bytes.toString("utf8"), stderr: errors.toString("utf8") };
}

async function collect(stream: PassThrough, onOutput?: (soFar: string) => void): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of stream) {
    parts.push(part as Buffer);
    onOutput?.(Buffer.concat(parts).toString("utf8"));
  }
  return Buffer.concat(parts);
}

/** What a command printed with --json. */
export function json(outcome: Outcome): unknown {
  return JSON.parse(outcome.stdout);
}

/** The error that a command told with --json. */
export function jsonError(outcome: Outcome): unknown {
  return (JSON.parse(outcome.stderr.trim().split("\n").at(-1) ?? "") as { error: unknown }).error;
}
