import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import path from "node:path";
import type { Readable, Writable } from "node:stream";
import { onAbort, throwIfAborted } from "../../async/index.ts";
import { concatSecret, copySecret, DataError, secretBytes, wipe } from "../../bytes/index.ts";
import { PinMissingError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { PIN, readPin } from "./pin.ts";
import { ask, askHidden } from "./prompt.ts";

/** How a program without a terminal of its own talks to the user. */
export interface Dialogs {
  /**
   * Asks for a PIN. The caller wipes it.
   * @param problem What was wrong with the last one, and how many tries there are.
   * @throws {PinMissingError} if the user gives none.
   */
  askPin(question: string, problem: string | undefined, signal?: AbortSignal): Promise<Uint8Array>;
  /** Asks for yes or no. */
  confirm(question: string, signal?: AbortSignal): Promise<boolean>;
  /** Shows a notice until `done` aborts. */
  notify(text: string, done: AbortSignal): void;
}

/** Names of {@link chooseDialogs}. */
export const DIALOGS = ["auto", "terminal", "askpass", "pinentry"] as const;
export type DialogChoice = (typeof DIALOGS)[number];

/**
 * The dialogs to use. By itself: the terminal, if there is one; the program of SSH_ASKPASS, where there is a display or
 * SSH_ASKPASS_REQUIRE=force; pinentry.
 */
export function chooseDialogs(choice: DialogChoice, environment: Environment): Dialogs {
  const { env, stdin } = environment;
  const askpass = env["SSH_ASKPASS"] ?? "";
  const hasDisplay = Boolean(env["DISPLAY"]) || Boolean(env["WAYLAND_DISPLAY"]);
  const canAskpass = askpass !== "" && (hasDisplay || env["SSH_ASKPASS_REQUIRE"] === "force");
  const pinentry = findProgram("pinentry", env["PATH"]);
  if (choice === "terminal" || (choice === "auto" && stdin.isTTY === true)) return new TerminalDialogs(environment);
  if (choice === "askpass" || (choice === "auto" && canAskpass)) return new AskpassDialogs(askpass);
  if (choice === "pinentry" || pinentry !== undefined) return new PinentryDialogs(pinentry, env);
  return new NoDialogs(environment);
}

function findProgram(name: string, search = ""): string | undefined {
  return search
    .split(path.delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => path.join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

const declined = (): PinMissingError => new PinMissingError("no PIN was given");

/** Without a program that asks: the terminal that controls this process, for a PIN. */
class NoDialogs implements Dialogs {
  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  askPin(question: string): Promise<Uint8Array> {
    return readPin({ ...PIN, question: `${question} (no pinentry, and no SSH_ASKPASS)` }, this.#environment);
  }

  confirm(): Promise<boolean> {
    return Promise.resolve(false);
  }

  notify(): void {
    // No program shows it.
  }
}

class TerminalDialogs implements Dialogs {
  readonly #environment: Environment;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  async askPin(question: string, problem: string | undefined, signal?: AbortSignal): Promise<Uint8Array> {
    if (problem !== undefined) this.#environment.stderr.write(`${visible(problem)}\n`);
    throwIfAborted(signal);
    const pin = await askHidden(visible(question), this.#environment.stdin, this.#environment);
    if (pin.length === 0) throw declined();
    return pin;
  }

  async confirm(question: string, signal?: AbortSignal): Promise<boolean> {
    throwIfAborted(signal);
    return /^y(es)?$/iu.test((await ask(`${visible(question)} [y/N] `, this.#environment)).trim());
  }

  notify(text: string): void {
    this.#environment.stderr.write(`${visible(text)}\n`);
  }
}

/** The program of SSH_ASKPASS, as ssh(1) and ssh-agent(1) start it. */
class AskpassDialogs implements Dialogs {
  readonly #program: string;

  constructor(program: string) {
    this.#program = program;
  }

  #start(text: string, prompt: string | undefined, signal?: AbortSignal): ChildProcessByStdio<null, Readable, null> {
    if (this.#program === "") throw new PinMissingError("SSH_ASKPASS names no program that asks");
    const env = { ...process.env, ...(prompt !== undefined && { SSH_ASKPASS_PROMPT: prompt }) };
    return spawn(this.#program, [text], { stdio: ["ignore", "pipe", "ignore"], env, ...(signal && { signal }) });
  }

  async askPin(question: string, problem: string | undefined, signal?: AbortSignal): Promise<Uint8Array> {
    const text = [...(problem === undefined ? [] : [problem]), `${question}: `].join("\n");
    const { code, output } = await ended(this.#start(text, undefined, signal), signal);
    const end = output.findIndex((byte) => byte === 0x0a || byte === 0x0d);
    const pin = copySecret(end < 0 ? output : output.subarray(0, end));
    wipe(output);
    if (code === 0 && pin.length > 0) return pin;
    wipe(pin);
    throw declined();
  }

  async confirm(question: string, signal?: AbortSignal): Promise<boolean> {
    const { code, output } = await ended(this.#start(question, "confirm", signal), signal);
    const answer = Buffer.from(output).toString().trim();
    return code === 0 && (answer === "" || /^yes$/iu.test(answer));
  }

  notify(text: string, done: AbortSignal): void {
    const child = this.#start(text, "none");
    child.on("error", () => undefined);
    onAbort(done, () => child.kill());
  }
}

/** What a program wrote, and its exit code. @throws the signal's reason. */
async function ended(
  child: ChildProcessByStdio<null, Readable, null>,
  signal?: AbortSignal,
): Promise<{ readonly code: number | null; readonly output: Uint8Array }> {
  let output = secretBytes(0);
  child.stdout.on("data", (chunk: Buffer) => {
    const joined = concatSecret(output, chunk);
    wipe(output, chunk);
    output = joined;
  });
  try {
    const [code] = (await once(child, "close")) as [number | null];
    return { code, output };
  } catch (cause) {
    throwIfAborted(signal);
    throw new PinMissingError(`the program that asks for the PIN cannot be started: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** A dialog of GnuPG's pinentry, which speaks the Assuan protocol. */
class PinentryDialogs implements Dialogs {
  readonly #program: string | undefined;
  readonly #env: Environment["env"];

  constructor(program: string | undefined, env: Environment["env"]) {
    this.#program = program;
    this.#env = env;
  }

  async askPin(question: string, problem: string | undefined, signal?: AbortSignal): Promise<Uint8Array> {
    await using pinentry = await this.#open(signal);
    await pinentry.insist("SETPROMPT PIN:");
    await pinentry.insist(`SETDESC ${escaped(question)}`);
    if (problem !== undefined) await pinentry.insist(`SETERROR ${escaped(problem)}`);
    const pin = await pinentry.command("GETPIN");
    if (pin && pin.length > 0) return pin;
    throw declined();
  }

  async confirm(question: string, signal?: AbortSignal): Promise<boolean> {
    await using pinentry = await this.#open(signal);
    await pinentry.insist(`SETDESC ${escaped(question)}`);
    return (await pinentry.command("CONFIRM")) !== undefined;
  }

  notify(text: string, done: AbortSignal): void {
    void (async () => {
      await using pinentry = await this.#open(done);
      await pinentry.insist(`SETDESC ${escaped(text)}`);
      await pinentry.command("MESSAGE");
    })().catch(() => undefined);
  }

  async #open(signal?: AbortSignal): Promise<Assuan> {
    throwIfAborted(signal);
    if (this.#program === undefined) throw new PinMissingError("there is no program pinentry");
    const assuan = new Assuan(spawn(this.#program, [], { stdio: ["pipe", "pipe", "ignore"] }), signal);
    const { GPG_TTY: tty, TERM: terminal } = this.#env;
    if ((await assuan.answer()) === undefined) throw new PinMissingError("pinentry did not begin");
    if (tty !== undefined) await assuan.command(`OPTION ttyname=${tty}`);
    if (terminal !== undefined) await assuan.command(`OPTION ttytype=${terminal}`);
    await assuan.insist("SETTITLE cryptoki");
    return assuan;
  }
}

const escaped = (text: string): string => visible(text).replaceAll("%", "%25").replaceAll("\n", "%0A");

/** Longest line of the protocol, in bytes. */
const MAX_LINE = 1002;

/** A client of the Assuan protocol, over the streams of a program. */
class Assuan implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #signal: AbortSignal | undefined;
  readonly #stop: () => void;
  readonly #chunks: AsyncIterator<Buffer>;
  #ahead = secretBytes(0);

  constructor(child: ChildProcessByStdio<Writable, Readable, null>, signal?: AbortSignal) {
    this.#child = child;
    this.#signal = signal;
    this.#chunks = child.stdout[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    child.on("error", () => undefined);
    child.stdin.on("error", () => undefined);
    this.#stop = onAbort(signal, () => child.kill());
  }

  /** @throws {PinMissingError} if the program refuses it. */
  async insist(line: string): Promise<void> {
    if ((await this.command(line)) === undefined) throw new PinMissingError("pinentry refused to ask");
  }

  /** Sends a command. @returns The data of the answer; undefined if it was refused or cancelled. */
  command(line: string): Promise<Uint8Array | undefined> {
    this.#child.stdin.write(`${line.slice(0, MAX_LINE - 2)}\n`);
    return this.answer();
  }

  async answer(): Promise<Uint8Array | undefined> {
    let data = secretBytes(0);
    for (;;) {
      const line = await this.#line();
      const word = line && Buffer.from(line.subarray(0, 4)).toString("latin1");
      if (line && word?.startsWith("D ")) {
        const more = unescaped(line.subarray(2));
        const joined = concatSecret(data, more);
        wipe(data, more, line);
        data = joined;
      } else if (word === "OK" || word?.startsWith("OK ")) return data;
      else if (!line || word?.startsWith("ERR")) {
        wipe(data);
        return undefined;
      }
    }
  }

  async #line(): Promise<Uint8Array | undefined> {
    for (;;) {
      const end = this.#ahead.indexOf(0x0a);
      if (end >= 0) {
        const line = copySecret(this.#ahead.subarray(0, end));
        const rest = copySecret(this.#ahead.subarray(end + 1));
        wipe(this.#ahead);
        this.#ahead = rest;
        return line;
      }
      const next = (await this.#chunks.next()) as IteratorResult<Buffer, undefined>;
      throwIfAborted(this.#signal);
      if (next.done === true || this.#ahead.length > MAX_LINE) return undefined;
      const { value } = next;
      const joined = concatSecret(this.#ahead, value);
      wipe(this.#ahead, value);
      this.#ahead = joined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
    wipe(this.#ahead);
    this.#child.stdin.end("BYE\n");
    this.#child.stdout.destroy();
    this.#child.kill();
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined)
      await once(this.#child, "exit");
  }
}

/** Reads %25, %0A and %0D in data (Assuan manual, "Server responses"). */
function unescaped(bytes: Uint8Array): Uint8Array {
  const result = secretBytes(bytes.length);
  let length = 0;
  for (let index = 0; index < bytes.length; index++) {
    if (bytes[index] !== 0x25) result[length++] = bytes[index] ?? 0;
    else {
      const value = Number.parseInt(Buffer.from(bytes.subarray(index + 1, index + 3)).toString("latin1"), 16);
      if (Number.isNaN(value)) throw new DataError("pinentry: a % without two hexadecimal digits");
      result[length++] = value;
      index += 2;
    }
  }
  const exact = copySecret(result.subarray(0, length));
  wipe(result);
  return exact;
}
