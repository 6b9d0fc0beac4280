import { type BigIntStats, statSync } from "node:fs";
import { DataError } from "../bytes/index.ts";
import { isUri, parseUri } from "../cryptoki/index.ts";
import { UsageError } from "./failure.ts";
import { parsePinSource } from "./pin.ts";
import { isNewCard } from "./virtual-card.ts";

type Options = Readonly<Record<string, unknown>>;

/** Options whose value is where a PIN or PUK comes from. */
const PIN_SOURCES = ["pinSource", "newPinSource", "pukSource", "soPinSource"] as const;
/** Options whose value is a file that the command reads. */
const INPUTS = ["signature", "key", "peer"] as const;

/**
 * Refuses a command line whose --record or --output would empty a file that the command works with, under this or another name: a
 * symbolic or hard link.
 * @throws {UsageError} before anything was opened.
 */
export function refuseOverwriting(options: object, args: readonly unknown[]): void {
  const given = options as Options;
  const { record, output } = given;
  const cards = texts(given["virtual"], given["file"]).filter((name) => !isNewCard(name));
  const pins = pinFiles(given, args);
  refuse("--output", output, [...cards, ...pins]);
  refuse("--record", record, [...cards, ...pins, ...texts(output, ...INPUTS.map((name) => given[name]), ...args)]);
}

/** @throws {UsageError} if `written` is one of the files at `used`. */
function refuse(option: string, written: unknown, used: readonly string[]): void {
  if (typeof written !== "string") return;
  const target = identity(written);
  const same = used.find((path) => path === written || (target !== undefined && identity(path) === target));
  // "-" is standard input or output.
  if (same === undefined || same === "-") return;
  throw new UsageError(`${option} ${written} would overwrite ${same}, which the command works with; name another file`);
}

/** What a regular file is the same by, whatever its name; undefined for anything else. */
function identity(path: string): string | undefined {
  let stats: BigIntStats | undefined;
  try {
    stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  } catch {
    // Opening it reports why it cannot be reached.
  }
  return stats?.isFile() ? `${stats.dev}:${stats.ino}` : undefined;
}

function pinFiles(options: Options, args: readonly unknown[]): string[] {
  const sources = texts(...PIN_SOURCES.map((name) => options[name]));
  const uris = texts(options["token"], ...args).filter(isUri);
  return [...sources, ...uris.flatMap(sourceIn)].flatMap((source) => {
    const parsed = orNothing(() => parsePinSource(source));
    return parsed?.from === "file" ? [parsed.path] : [];
  });
}

function sourceIn(uri: string): string[] {
  const source = orNothing(() => parseUri(uri))?.pinSource;
  return source === undefined ? [] : [source];
}

/** What is wrong with a URI or PIN source, the command says when it uses it. */
function orNothing<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DataError || error instanceof UsageError) return undefined;
    throw error;
  }
}

const texts = (...values: readonly unknown[]): string[] =>
  values
    .flatMap((value) => (Array.isArray(value) ? (value as unknown[]) : [value]))
    .filter((value) => typeof value === "string");
