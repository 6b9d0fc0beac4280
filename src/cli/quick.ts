/** `cryptoki --help` and `cryptoki --version`, for which neither the commands nor the library are loaded. */
import { fstatSync, writeSync } from "node:fs";
import { type Outline, outlineText } from "./output/outline.ts";
import { hasColours, helpWidth } from "./output/terminal.ts";
import { programVersion } from "./version.ts";

/** The build puts it here. */
declare const OUTLINE: Outline;

/**
 * Answers a command line of one word, if that is one of these two options.
 * @returns Whether it did; false as well if the output cannot be written, which the program itself reports.
 */
export function answer(word: string | undefined): boolean {
  const text = textFor(word);
  if (text === undefined) return false;
  const bytes = Buffer.from(text);
  let written: number;
  try {
    written = writeSync(1, bytes);
  } catch {
    return false;
  }
  if (written < bytes.length) process.stdout.write(bytes.subarray(written));
  return true;
}

function textFor(option: string | undefined): string | undefined {
  if (option === "-V" || option === "--version") return `${programVersion()}\n`;
  if (option !== "-h" && option !== "--help") return undefined;
  // Node takes a while to make process.stdout, of which only a terminal has a width.
  const output = fstatSync(1).isCharacterDevice() ? process.stdout : {};
  return outlineText(OUTLINE, helpWidth(output), hasColours(output, process.env));
}
