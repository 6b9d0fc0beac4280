import { constants, createReadStream, createWriteStream, fstatSync, open } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { isatty, ReadStream, WriteStream } from "node:tty";
import { promisify } from "node:util";
import Table from "cli-table3";
import pc from "picocolors";
import { pause } from "../../async/index.ts";
import type { CardFinding, FindingSink } from "../../card/index.ts";

/** A stream that may be a terminal. */
type Input = Readable & { readonly isTTY?: boolean };
type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** What a run of the program gets from outside: tests give their own. */
export interface Environment {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the user interrupts the program, or nobody reads its output any more. */
  readonly signal: AbortSignal;
}

export type Colours = ReturnType<typeof pc.createColors>;

/** Colours for `stream`: on a terminal, unless NO_COLOR (no-color.org) or TERM=dumb says no; FORCE_COLOR says yes. */
export function coloursFor(stream: Output, env: Environment["env"]): Colours {
  const forbidden = Boolean(env["NO_COLOR"]) || env["TERM"] === "dumb";
  const wanted = Boolean(env["FORCE_COLOR"]) || stream.isTTY === true;
  return pc.createColors(wanted && !forbidden);
}

/** Resolves when the system has taken all that was written so far, or will take nothing more. */
export async function written({ stdout, stderr }: Pick<Environment, "stdout" | "stderr">): Promise<void> {
  await Promise.all(
    [stdout, stderr].map(
      (stream) =>
        new Promise<void>((resolve) => {
          // What went wrong is told as an error of the stream.
          stream.write("", () => {
            resolve();
          });
        }),
    ),
  );
}

/** A column: its heading, and whether its cells stand at the right. */
export type Column = string | { readonly heading: string; readonly align: "right" };

/** Text that the program made and coloured itself, and that is printed as it is. What a card or reader says in it went through {@link visible}. */
interface Styled {
  readonly styled: string;
}

/** What stands in a table: text from anywhere, or what is styled. */
export type Cell = string | Styled;

/** What a command prints: for people, or as JSON for programs. */
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

  /** Settles when the stream no longer needs `bytes`, which may be wiped then. */
  bytes(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve) => {
      // What cannot be written any more is the stream's own error to tell.
      this.#stream.write(bytes, () => {
        resolve();
      });
    });
  }

  /** One JSON document. Keys in the order given; what is undefined is left out. */
  document(value: unknown): void {
    this.line(escapeInvisible(JSON.stringify(value, undefined, 2)));
  }

  /** That something is done: a sentence, or what it says as JSON. */
  done(sentence: string, value: object): void {
    if (this.json) this.document(value);
    else this.line(visible(sentence));
  }

  /** One JSON document on a line of its own, for output that goes on and on. */
  documentLine(value: unknown): void {
    this.line(escapeInvisible(JSON.stringify(value)));
  }

  /** Rows under headings, columns aligned, no frame. */
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

  /** Names and values below each other, values aligned. */
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

// eslint-disable-next-line no-control-regex -- control characters are what this is about
const CONTROLS = /[\u0000-\u001f\u007f-\u009f]/gu;

/**
 * A card's labels are untrusted: control characters never reach a terminal, those of colours neither, and characters that nobody sees, or
 * that turn the text around them, are shown by their number: \u202E.
 */
export function visible(text: string): string {
  return escapeInvisible(text.replace(CONTROLS, "\ufffd"));
}

/**
 * `text` with format characters (direction, joining, tags), separators of lines and paragraphs, lone surrogates and C1 control
 * characters as \u202E, which JSON reads as the character.
 */
function escapeInvisible(text: string): string {
  return text.replace(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, (character) =>
    Array.from({ length: character.length }, (_, index) => {
      const unit = character.charCodeAt(index).toString(16).toUpperCase();
      return `\\u${unit.padStart(4, "0")}`;
    }).join(""),
  );
}

/** What is wrong with a card, each thing on a line. */
export function tellFindings(print: Printer, findings: readonly CardFinding[]): void {
  if (findings.length === 0) return;
  print.line();
  print.line(print.colours.yellow("What is wrong with the card:"));
  for (const finding of findings) print.line(`  ${findingText(finding)}`);
}

/** Tells each thing that is wrong with a card as soon as it is found, in a line. */
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

/** What a card says of itself is not to be trusted with a terminal. */
const findingText = ({ where, problem }: CardFinding): string => visible(`${where}: ${problem}`);

/*
 * Files are opened so that no thread of libuv's pool waits for another program. process.exit() waits for those threads, so a FIFO
 * without a writer, opened the usual way, keeps the program running after every signal.
 */

/** A terminal that is opened must not become the controlling one. */
const FLAGS = constants.O_NONBLOCK | constants.O_NOCTTY;
/** Milliseconds between two looks whether a program reads from a FIFO. The system has no event for it. */
const LOOK_AGAIN = 20;

const openFile: (path: string, flags: number, mode?: number) => Promise<number> = promisify(open);

/** Opens a file, FIFO or device for reading; `chunk` as of {@link inputOf}. @throws whatever the file system throws. */
export async function openInput(path: string, chunk?: number): Promise<Readable> {
  return inputOf(await openFile(path, constants.O_RDONLY | FLAGS), chunk);
}

/**
 * Reads from a descriptor that is open, and closes it at the end.
 * @param chunk The most bytes of one read from a file. Default: 64 KiB.
 * @throws whatever the file system throws.
 */
export function inputOf(fd: number, chunk?: number): Readable {
  if (isatty(fd)) return new ReadStream(fd);
  const stats = fstatSync(fd);
  if (stats.isFIFO() || stats.isSocket()) return new Socket({ fd, readable: true, writable: false });
  return createReadStream("", { fd, ...(chunk !== undefined && { highWaterMark: chunk }) });
}

/**
 * Opens a new file for writing, or empties an old one. Waits until a program reads from a FIFO, or `signal` aborts.
 * @throws whatever the file system throws; the signal's reason.
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
