import Table from "cli-table3";
import pc from "picocolors";
import type { Environment, Output as Stream } from "./environment.ts";

export type Colours = ReturnType<typeof pc.createColors>;

/** Colours for `stream`: on a terminal, unless NO_COLOR (no-color.org) or TERM=dumb says no; FORCE_COLOR says yes. */
export function coloursFor(stream: Stream, env: Environment["env"]): Colours {
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
  readonly #stream: Stream;

  constructor(stream: Stream, env: Environment["env"], json: boolean) {
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
