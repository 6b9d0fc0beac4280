import type { Environment } from "./printer.ts";

/** Milliseconds before the first line: what is quick shows nothing. */
const DELAY = 1000;
/** Milliseconds between two lines. */
const INTERVAL = 250;

/** A line on a terminal that says how far a long work is; it goes when the work ends. Nothing elsewhere, or with --json. */
export class Progress {
  readonly #stderr: Environment["stderr"];
  readonly #text: (seconds: number) => string;
  readonly #start = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #shown = false;

  /** @param text The line, after this many seconds. */
  constructor({ stderr }: Pick<Environment, "stderr">, json: boolean, text: (seconds: number) => string) {
    this.#stderr = stderr;
    this.#text = text;
    if (stderr.isTTY !== true || json) return;
    this.#timer = setTimeout(() => {
      this.#show();
      this.#timer = setInterval(() => {
        this.#show();
      }, INTERVAL);
    }, DELAY);
  }

  #show(): void {
    const seconds = Math.floor((performance.now() - this.#start) / 1000);
    // Erases to the end of the line (ECMA-48 EL).
    this.#stderr.write(`\r${this.#text(seconds)}\u001B[K`);
    this.#shown = true;
  }

  /** Removes the line. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#shown) this.#stderr.write("\r\u001B[K");
    this.#shown = false;
  }
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"] as const;

/** "1.5 GiB"; three figures are enough for people. */
export function sizeText(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 || value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ${UNITS[unit] ?? ""}`;
}
