import { open } from "node:fs";
import type { Readable } from "node:stream";
import { ReadStream } from "node:tty";
import { promisify } from "node:util";
import type { Command } from "commander";
import { onAbort } from "../../async/index.ts";
import { concatSecret, copySecret, equalBytes, secretUtf8, wipe } from "../../bytes/index.ts";
import { FileError, PinMissingError, UsageError } from "../output/failures.ts";
import { type Environment, inputOf, openInput } from "../output/printer.ts";
import { reason } from "./files.ts";
import { askHidden } from "./prompt.ts";

/** Sources of a PIN. An argument is none: every user of the machine can see it. */
export type PinSource =
  | { readonly from: "file"; readonly path: string }
  | { readonly from: "environment"; readonly name: string }
  | { readonly from: "stdin" }
  | { readonly from: "descriptor"; readonly number: number };

/** A secret that the user gives: its name and its sources. */
interface Secret {
  /** The text of the prompt. */
  readonly question: string;
  /** The value of its option. */
  readonly source?: PinSource | undefined;
  /** The name of its option. */
  readonly option: string;
  /** The environment variable that is read without the option. */
  readonly variable: string;
}

/** The user PIN's sources, the same for every command. */
export const PIN = { option: "--pin-source", variable: "CRYPTOKI_PIN" } as const;

/** Longest PIN that is accepted, in bytes; no card takes a longer one. */
const MAX_PIN_BYTES = 256;

const WAYS = "file:PATH, env:NAME, fd:NUMBER, or - for a line of standard input";

/**
 * Parses the value of --pin-source or of a URI's pin-source.
 * @throws {UsageError} for any other text. The error does not repeat the text, which may be a PIN.
 */
export function parsePinSource(text: string): PinSource {
  if (text === "-") return { from: "stdin" };
  const [, scheme, rest] = /^(file|env|fd):(.+)$/su.exec(text) ?? [];
  if (rest !== undefined && scheme === "file") return { from: "file", path: rest.replace(/^\/\/(?=\/)/u, "") };
  if (rest !== undefined && scheme === "env") return { from: "environment", name: rest };
  if (rest !== undefined && scheme === "fd" && /^\d{1,6}$/u.test(rest)) {
    return { from: "descriptor", number: Number(rest) };
  }
  if (text.startsWith("|")) throw new UsageError(`this program does not run PIN source commands; use ${WAYS}`);
  throw new UsageError(`--pin-source takes ${WAYS}`);
}

/**
 * Returns a PIN from its source, else from its variable, else from a prompt on the terminal, without echo. The caller
 * wipes it.
 * @throws {PinMissingError} if there is none; {@link FileError}; {@link InterruptedError} on Ctrl-C and Ctrl-D in the prompt.
 */
export async function readPin(secret: Secret, environment: Environment): Promise<Uint8Array> {
  return (await given(secret, environment)) ?? required(await prompt(secret, environment), secret);
}

/**
 * Like {@link readPin}, but a prompt asks twice, because the terminal does not show the PIN.
 * @param check Refuses a PIN that was typed and that the card does not take, before it is asked for again.
 * @throws {UsageError} if the two differ; the error of `check`.
 */
export async function readNewPin(
  secret: Secret,
  environment: Environment,
  check: (pin: Uint8Array) => void = () => undefined,
): Promise<Uint8Array> {
  const known = await given(secret, environment);
  if (known) return known;
  const first = required(await prompt(secret, environment), secret);
  try {
    check(first);
  } catch (error) {
    wipe(first);
    throw error;
  }
  const second = await prompt({ ...secret, question: `${secret.question}, again` }, environment);
  const same = equalBytes(first, second);
  wipe(second);
  if (same) return first;
  wipe(first);
  throw new UsageError("the two entries differ; nothing was changed");
}

/** The PIN from the command line or the environment; undefined if the user must be asked. */
async function given(secret: Secret, environment: Environment): Promise<Uint8Array | undefined> {
  if (secret.source) return required(await fromSource(secret.source, environment), secret);
  const value = environment.env[secret.variable];
  return value === undefined ? undefined : required(secretUtf8(value), secret);
}

function required(pin: Uint8Array, { question }: Secret): Uint8Array {
  if (pin.length === 0) throw new PinMissingError(`${question}: it is empty`);
  return pin;
}

async function fromSource(source: PinSource, { env, stdin, signal }: Environment): Promise<Uint8Array> {
  switch (source.from) {
    case "file":
      return onlyLine(() => openInput(source.path, BYTEWISE), `the PIN file ${source.path}`, signal);
    case "descriptor":
      return onlyLine(() => inputOf(source.number, BYTEWISE), `file descriptor ${source.number}`, signal);
    case "stdin":
      return nextLine(stdin, "standard input", signal);
    case "environment": {
      const value = env[source.name];
      if (value === undefined) throw new PinMissingError(`the environment variable ${source.name} is not set`);
      return secretUtf8(value);
    }
  }
}

/**
 * Bytes of one read from a PIN file. Node's file streams keep a copy of what they read whenever their buffer is not
 * full (node, lib/internal/fs/streams.js). One byte always fills it, so the chunk is the buffer, and is wiped.
 */
const BYTEWISE = 1;

async function onlyLine(
  open: () => Readable | Promise<Readable>,
  what: string,
  signal: AbortSignal,
): Promise<Uint8Array> {
  let stream: Readable;
  try {
    stream = await open();
  } catch (cause) {
    throw unreadable(what, cause);
  }
  try {
    return await nextLine(stream, what, signal);
  } finally {
    stream.destroy();
  }
}

const unreadable = (what: string, cause: unknown): FileError =>
  new FileError(`${what} cannot be read: ${reason(cause)}`, { cause });

/**
 * Reads one line and leaves the rest in the stream. An abort destroys the stream: the command reads nothing else from
 * it.
 */
async function nextLine(stream: Readable, what: string, signal: AbortSignal): Promise<Uint8Array> {
  let line: Uint8Array = new Uint8Array();
  const stop = onAbort(signal, () => stream.destroy());
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Uint8Array;
      const joined = concatSecret(line, bytes);
      wipe(line, bytes);
      line = joined;
      const end = line.indexOf(0x0a);
      if (end !== -1) {
        // The next secret may be on the next line.
        if (end + 1 < line.length) stream.unshift(copySecret(line.subarray(end + 1)));
        wipe(line.subarray(end));
        return line.subarray(0, line[end - 1] === 0x0d ? end - 1 : end);
      }
      if (line.length > MAX_PIN_BYTES)
        throw new FileError(`${what} holds no PIN: it is longer than ${MAX_PIN_BYTES} bytes`);
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw cause instanceof FileError ? cause : unreadable(what, cause);
  } finally {
    stop();
  }
  signal.throwIfAborted();
  return line;
}

/**
 * Prompts on standard error, so that a redirected output stays clean; on the terminal itself if standard input is a
 * pipe.
 */
async function prompt(secret: Secret, environment: Environment): Promise<Uint8Array> {
  const { stdin } = environment;
  using terminal = stdin.isTTY ? undefined : await controllingTerminal(secret);
  return await askHidden(secret.question, terminal?.stream ?? stdin, environment);
}

/** The stream owns the descriptor, and closes it. */
async function controllingTerminal({
  question,
  option,
  variable,
}: Secret): Promise<Disposable & { stream: ReadStream }> {
  try {
    const stream = new ReadStream(await promisify(open)("/dev/tty", "r+"));
    return { stream, [Symbol.dispose]: () => void stream.destroy() };
  } catch (cause) {
    const message = `${question}: there is no terminal for the prompt; use ${option} or ${variable}`;
    throw new PinMissingError(message, { cause });
  }
}

/** The sources of a PIN to be set. */
export const NEW_PIN = { option: "--new-pin-source", variable: "CRYPTOKI_NEW_PIN" } as const;
/** The sources of the PUK. */
export const PUK = { option: "--puk-source", variable: "CRYPTOKI_PUK" } as const;

/** How the PUK that is to be set is given. */
export const NEW_PUK = { option: "--new-puk-source", variable: "CRYPTOKI_NEW_PUK" } as const;

/** The sources of the password of a file with a private key. */
export const KEY_PASSWORD = { option: "--password-source", variable: "CRYPTOKI_KEY_PASSWORD" } as const;
/** The sources of the password of a DKEK share. */
export const SHARE_PASSWORD = { option: "--password-source", variable: "CRYPTOKI_SHARE_PASSWORD" } as const;

export interface NewPinOptions {
  readonly newPinSource?: string;
}

export function newPinOption(command: Command): Command {
  const meaning = `where the new PIN comes from, as --pin-source; default: ${NEW_PIN.variable}, or a prompt`;
  return command.option("--new-pin-source <source>", meaning);
}

/** The secret with its option's value, if the option was given. */
export function secret(way: Pick<Secret, "option" | "variable">, question: string, source: string | undefined): Secret {
  return { ...way, question, source: source === undefined ? undefined : parsePinSource(source) };
}
