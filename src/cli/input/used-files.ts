import { type BigIntStats, statSync } from "node:fs";
import { isUri, parseUri } from "../../cryptoki/index.ts";
import { UsageError } from "../output/failures.ts";
import { isNewCard } from "./card-source.ts";
import { parsePinSource } from "./pin.ts";

type Options = Readonly<Record<string, unknown>>;

/** Options that name the source of a PIN or PUK. */
const PIN_SOURCES = [
  "pinSource",
  "newPinSource",
  "pukSource",
  "newPukSource",
  "soPinSource",
  "newSoPinSource",
  "passwordSource",
] as const;
/** Options that name an input file. */
const INPUTS = ["signature", "key", "peer", "ca", "certificate", "trust"] as const;
/** Options that name the file of a virtual card. */
const CARDS = ["virtual", "file"] as const;

/**
 * Refuses a command line whose --record or --output would overwrite a file that the command works with, also under
 * another name (symbolic or hard link), or whose --output names any file that exists, without --force.
 * @throws {UsageError} before anything is opened.
 */
export function refuseOverwriting(options: object, args: readonly unknown[]): void {
  const given = options as Options;
  const { output, record, force } = given;
  const writesFile = typeof output === "string" && output !== "-";
  if (!writesFile && typeof record !== "string") return;
  const used = filesInUse(given, args);
  if (typeof record === "string") {
    refuse("--record", record, used);
    if (writesFile) refuse("--record", record, [output]);
  }
  if (!writesFile) return;
  refuse("--output", output, used);
  if (force !== true && identity(output) !== undefined)
    throw new UsageError(`${output} exists already; add --force to write over it`);
}

/** @throws {UsageError} if `written` is one of the files at `used`. */
function refuse(option: string, written: string, used: readonly string[]): void {
  const target = identity(written);
  for (const path of used) {
    // "-" is standard input or output.
    if (path === "-" || (path !== written && (target === undefined || identity(path) !== target))) continue;
    throw new UsageError(`${option} ${written} would overwrite ${path}, which this command reads; name another file`);
  }
}

/** Identifies a regular file (device and inode), whatever its name; undefined for anything else. */
function identity(path: string): string | undefined {
  let stats: BigIntStats | undefined;
  try {
    stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // The command reports the reason when it opens the file.
  }
  return stats?.isFile() ? `${stats.dev}:${stats.ino}` : undefined;
}

/** The inputs of a command line: arguments, cards, and the files of options and of sources of PINs. */
function filesInUse(options: Options, args: readonly unknown[]): string[] {
  const files: string[] = [];
  for (const name of CARDS) {
    const card = options[name];
    if (typeof card === "string" && !isNewCard(card)) files.push(card);
  }
  for (const name of INPUTS) addTexts(files, options[name]);
  for (const name of PIN_SOURCES) addPinFile(files, options[name]);
  for (const arg of [options["token"], ...args.flat()]) {
    if (typeof arg !== "string") continue;
    if (!isUri(arg)) files.push(arg);
    else if (arg.includes("pin-source=")) addPinFile(files, sourceIn(arg));
  }
  return files;
}

function addTexts(files: string[], value: unknown): void {
  if (typeof value === "string") files.push(value);
  else if (Array.isArray(value)) for (const one of value) addTexts(files, one);
}

/** A malformed source is reported later, when the command uses it. */
function addPinFile(files: string[], source: unknown): void {
  if (typeof source !== "string" || !source.startsWith("file:")) return;
  const parsed = parsePinSource(source);
  if (parsed.from === "file") files.push(parsed.path);
}

/** A malformed URI is reported later, when the command uses it. */
function sourceIn(uri: string): string | undefined {
  try {
    return parseUri(uri).pinSource;
  } catch {
    return undefined;
  }
}

/** The option that takes a secret from standard input; undefined if none does. */
export function secretOnStdin(options: object, args: readonly unknown[]): string | undefined {
  for (const name of PIN_SOURCES) {
    if ((options as Options)[name] === "-")
      return `--${name.replace(/[A-Z]/gu, (letter) => `-${letter.toLowerCase()}`)} -`;
  }
  const uris = [(options as Options)["token"], ...args];
  return uris.some((uri) => typeof uri === "string" && /^pkcs11:.*[?&]pin-source=-(?:&|$)/u.test(uri))
    ? "pin-source=- of the URI"
    : undefined;
}
