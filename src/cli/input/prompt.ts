import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { onAbort, untilAborted } from "../../async/index.ts";
import { copySecret, wipe } from "../../bytes/index.ts";
import { FileError, InterruptedError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";

/** A terminal. Streams of tests that claim to be one have no raw mode. */
export type Terminal = Readable & { setRawMode?(raw: boolean): unknown };

/** Longest line that is accepted, in bytes. No card takes a longer PIN. */
const MAX_BYTES = 256;

const KEY = { CTRL_C: 0x03, CTRL_D: 0x04, BACKSPACE: 0x08, CTRL_U: 0x15, ESCAPE: 0x1b, DELETE: 0x7f } as const;
/** "[" and "O". */
const INTRODUCERS: readonly number[] = [0x5b, 0x4f];
const LINE_ENDS: readonly number[] = [0x0a, 0x0d];

/**
 * Asks for a line without echo. The caller wipes it.
 * @throws {InterruptedError} on Ctrl-C, on Ctrl-D and at the end of the input; {@link FileError} for a line that is too
 *   long; the signal's reason.
 */
export async function askHidden(
  question: string,
  terminal: Terminal,
  { stderr, signal }: Pick<Environment, "stderr" | "signal">,
): Promise<Uint8Array> {
  const line = new HiddenLine();
  let isRaw = true;
  const restore = (): void => {
    if (isRaw) terminal.setRawMode?.(false);
    isRaw = false;
  };
  const stop = onAbort(signal, () => {
    // The mode is the terminal's, and would stay after the stream.
    restore();
    terminal.destroy();
  });
  stderr.write(`${question}: `);
  terminal.setRawMode?.(true);
  try {
    for await (const chunk of terminal.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Uint8Array;
      const end = line.type(bytes);
      // The next answer may have been typed already.
      if (end !== undefined && end < bytes.length) terminal.unshift(copySecret(bytes.subarray(end)));
      wipe(bytes);
      if (end !== undefined) return line.text();
    }
    throw interrupted();
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    stop();
    line.wipe();
    restore();
    stderr.write("\n");
  }
}

const interrupted = (): InterruptedError => new InterruptedError("interrupted at the prompt", 130);

/** What has been typed of a line. */
class HiddenLine {
  readonly #buffer = new Uint8Array(new ArrayBuffer(MAX_BYTES));
  #length = 0;
  /** How far a key's escape sequence is (ECMA-48 section 5.4): "ESC [ A", "ESC O P". */
  #sequence: "none" | "escape" | "parameters" = "none";

  /** @returns The position after the line's end; undefined before the end. */
  type(bytes: Uint8Array): number | undefined {
    for (const [index, byte] of bytes.entries()) {
      if (LINE_ENDS.includes(byte)) return index + 1;
      if (byte === KEY.CTRL_C || byte === KEY.CTRL_D) throw interrupted();
      if (this.#sequence === "none") this.#typeByte(byte);
      else this.#skip(byte);
    }
    return undefined;
  }

  #skip(byte: number): void {
    const isIntroducer = this.#sequence === "escape" && INTRODUCERS.includes(byte);
    this.#sequence = isIntroducer || byte < 0x40 ? "parameters" : "none";
  }

  #typeByte(byte: number): void {
    if (byte === KEY.BACKSPACE || byte === KEY.DELETE) this.#erase();
    else if (byte === KEY.CTRL_U) this.wipe();
    else if (byte === KEY.ESCAPE) this.#sequence = "escape";
    else if (byte >= 0x20) {
      if (this.#length === MAX_BYTES) throw new FileError(`a PIN has at most ${MAX_BYTES} bytes`);
      this.#buffer[this.#length++] = byte;
    }
  }

  /** Removes the last character; in UTF-8 its further bytes are 80 to BF. */
  #erase(): void {
    while (this.#length > 0 && ((this.#buffer[--this.#length] ?? 0) & 0xc0) === 0x80);
    this.#buffer.fill(0, this.#length);
  }

  text(): Uint8Array {
    return copySecret(this.#buffer.subarray(0, this.#length));
  }

  wipe(): void {
    wipe(this.#buffer);
    this.#length = 0;
  }
}

/** Whether questions can be asked: standard input and standard error are a terminal, and people read the output. */
export function canAsk({ stdin, stderr }: Environment, json: boolean): boolean {
  return !json && stdin.isTTY === true && stderr.isTTY === true;
}

/**
 * Asks a question whose answer is shown.
 * @throws {InterruptedError} on Ctrl-C, on Ctrl-D and at the end of the input; the signal's reason.
 */
export async function ask(question: string, { stdin, stderr, signal }: Environment): Promise<string> {
  stderr.write(question);
  const lines = createInterface({ input: stdin, terminal: false });
  const answer = new Promise<string>((resolve, reject) => {
    lines.once("line", resolve);
    lines.once("close", () => {
      reject(interrupted());
    });
  });
  return untilAborted(answer, signal).finally(() => {
    lines.close();
  });
}

/**
 * Lets the user choose by number.
 * @returns The position of the choice; -1 for an answer that is none of the numbers.
 */
export async function choose(reason: string, candidates: readonly string[], environment: Environment): Promise<number> {
  const { stderr } = environment;
  stderr.write(`${visible(reason)}:\n`);
  for (const [index, candidate] of candidates.entries()) stderr.write(`  ${index + 1}  ${visible(candidate)}\n`);
  const answer = (await ask(`Which one? [1-${candidates.length}] `, environment)).trim();
  const number = /^\d{1,4}$/u.test(answer) ? Number(answer) : 0;
  return number >= 1 && number <= candidates.length ? number - 1 : -1;
}
