import { constants, createReadStream, createWriteStream, fstatSync, open } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { isatty, ReadStream, WriteStream } from "node:tty";
import { promisify } from "node:util";
import Table from "cli-table3";
import pc from "picocolors";
import { pause } from "../../async/index.ts";
import type { CardFinding, FindingSink } from "../../card/index.ts";
import { hasColours } from "./terminal.ts";

/** A stream that may be a terminal. */
type Input = Readable & { readonly isTTY?: boolean };
type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** The streams and environment of a run of the program; tests give their own. */
export interface Environment {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the user interrupts the program, or when the output has no reader any more. */
  readonly signal: AbortSignal;
  /** The option that takes a secret from standard input: no data can come from there. */
  readonly secretOnStdin?: string;
}

export type Colours = ReturnType<typeof pc.createColors>;

/** Colours for `stream`, if it gets any. */
export function coloursFor(stream: Output, env: Environment["env"]): Colours {
  return pc.createColors(hasColours(stream, env));
}

/** Resolves when the system has taken all output so far, or will take no more. */
export async function written({ stdout, stderr }: Pick<Environment, "stdout" | "stderr">): Promise<void> {
  await Promise.all(
    [stdout, stderr].map(
      (stream) =>
        new Promise<void>((resolve) => {
          // The stream reports errors by an event.
          stream.write("", () => {
            resolve();
          });
        }),
    ),
  );
}

/** A column: its heading, and whether its cells are right-aligned. */
export type Column = string | { readonly heading: string; readonly align: "right" };

/**
 * Text that the program made and coloured itself, and that is printed unchanged. Data of a card or reader in it went
 * through {@link visible}.
 */
interface Styled {
  readonly styled: string;
}

/** A table cell: any text, or styled text. */
export type Cell = string | Styled;

/** Prints a command's result: for people, or as JSON. */
export class Printer {
  readonly colours: Colours;
  readonly json: boolean;
  readonly #stream: Output;

  constructor(stream: Output, env: Environment["env"], json: boolean) {
    this.colours = json ? pc.createColors(false) : coloursFor(stream, env);
    this.json = json;
    this.#stream = stream;
  }

  line(text = ""): void {
    this.#stream.write(`${text}\n`);
  }

  /** Settles when the stream no longer needs `bytes`, which may then be wiped. */
  bytes(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      // The stream reports a failed write itself.
      this.#stream.write(bytes, () => {
        resolve();
      });
    });
  }

  /** Prints one JSON document. Keys keep their order; undefined values are left out. */
  document(value: unknown): void {
    this.line(escapeInvisible(JSON.stringify(value, undefined, 2)));
  }

  /** Prints that something is done: a sentence, or JSON. */
  done(sentence: string, value: object): void {
    if (this.json) this.document(value);
    else this.line(visible(sentence));
  }

  /** Prints one JSON document on a line, for output that continues. */
  documentLine(value: unknown): void {
    this.line(escapeInvisible(JSON.stringify(value)));
  }

  /** Prints rows under headings, columns aligned, no frame. */
  table(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void {
    const headings = columns.map((column) => (typeof column === "string" ? column : column.heading));
    const table = new Table({
      head: headings.map((heading) => this.colours.dim(heading)),
      colAligns: columns.map((column) => (typeof column === "string" ? "left" : column.align)),
      chars: NO_FRAME,
      style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
    });
    table.push(...rows.map((row) => row.map(cellText)));
    this.line(trimLines(table.toString()));
  }

  /** Prints names and values below each other, values aligned. */
  pairs(pairs: readonly (readonly [string, Cell])[], indent = ""): void {
    const width = Math.max(...pairs.map(([name]) => name.length));
    for (const [name, value] of pairs) {
      this.line(`${indent}${this.colours.dim(name.padEnd(width))}  ${cellText(value)}`);
    }
  }
}

const cellText = (cell: Cell): string => (typeof cell === "string" ? visible(cell) : cell.styled);

const NO_FRAME = Object.fromEntries(
  [
    ...["top", "top-mid", "top-left", "top-right", "bottom", "bottom-mid", "bottom-left", "bottom-right"],
    ...["left", "left-mid", "mid", "mid-mid", "right", "right-mid", "middle"],
  ].map((name) => [name, ""]),
);

const trimLines = (text: string): string => text.replace(/[ \t]+$/gmu, "");

// eslint-disable-next-line no-control-regex -- this pattern matches control characters
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/gu;

/**
 * Replaces control, invisible and direction characters by their numbers (\u202E): a card's labels are untrusted and
 * must not control the terminal or its colours.
 */
export function visible(text: string): string {
  return escapeInvisible(text.replace(CONTROLS, "\ufffd"));
}

/**
 * `text` with format characters (direction, joining, tags), separators of lines and paragraphs, lone surrogates and C1
 * control characters as \u202E; JSON reads the same character from it.
 */
function escapeInvisible(text: string): string {
  return text.replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      const unit = character.charCodeAt(index).toString(16).toUpperCase();
      return `\\u${unit.padStart(4, "0")}`;
    }).join(""),
  );
}

/** Prints a card's problems, one a line. */
export function tellFindings(print: Printer, findings: readonly CardFinding[]): void {
  if (findings.length === 0) return;
  print.line();
  print.line(print.colours.yellow("Problems of the card:"));
  for (const finding of findings) print.line(`  ${findingText(finding)}`);
}

/** Prints each problem of a card in a line as soon as it is found. */
export function findingsTo(print: Printer, json: boolean): FindingSink {
  if (json) {
    return (finding, reader): void => {
      print.documentLine({ finding: { reader, ...finding } });
    };
  }
  return (finding): void => {
    print.line(print.colours.yellow(`!! ${findingText(finding)}`));
  };
}

/** Text from a card must not control the terminal. */
const findingText = ({ where, problem }: CardFinding): string => visible(`${where}: ${problem}`);

/*
 * Opens files so that no thread of libuv's pool waits for another program. process.exit() waits for those threads: a
 * FIFO without a writer, opened the usual way, would keep the program running after every signal.
 */

/** The opened terminal must not become the controlling one. */
const FLAGS = constants.O_NONBLOCK | constants.O_NOCTTY;
/** Milliseconds between two checks for a reader of a FIFO. The system has no event for it. */
const LOOK_AGAIN = 20;

const openFile: (path: string, flags: number, mode?: number) => Promise<number> = promisify(open);

/** Opens a file, FIFO or device for reading; `chunk` as for {@link inputOf}. @throws the file system's error. */
export async function openInput(path: string, chunk?: number): Promise<Readable> {
  return inputOf(await openFile(path, constants.O_RDONLY | FLAGS), chunk);
}

/**
 * Reads from an open descriptor, and closes it at the end.
 * @param chunk Most bytes of one read from a file. Default: 64 KiB.
 * @throws the file system's error.
 */
export function inputOf(fd: number, chunk?: number): Readable {
  if (isatty(fd)) return new ReadStream(fd);
  const stats = fstatSync(fd);
  if (stats.isFIFO() || stats.isSocket()) return new Socket({ fd, readable: true, writable: false });
  return createReadStream("", { fd, ...(chunk !== undefined && { highWaterMark: chunk }) });
}

/**
 * Opens a file for writing and empties an old one. Waits until a program reads from a FIFO, or `signal` aborts.
 * @throws the file system's error; the signal's reason.
 */
export async function openOutput(path: string, mode: number, signal?: AbortSignal): Promise<Writable> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | FLAGS;
  for (;;) {
    try {
      return outputOf(await openFile(path, flags, mode));
    } catch (error) {
      // Without O_NONBLOCK the open would wait here (fifo(7)).
      if (!(error instanceof Error && "code" in error && error.code === "ENXIO")) throw error;
    }
    await pause(LOOK_AGAIN, signal);
  }
}

function outputOf(fd: number): Writable {
  if (isatty(fd)) return new WriteStream(fd);
  if (fstatSync(fd).isFIFO()) return new Socket({ fd, readable: false, writable: true });
  return createWriteStream("", { fd });
}

/** A number of things: "1 key", "2 keys". */
export const amount = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? "" : "s"}`;
