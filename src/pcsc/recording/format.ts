import { DataError, fromHex, toHex } from "../../bytes/index.ts";
import { SCARD_ERRORS } from "../error.ts";

/**
 * The format of a recording: text, one JSON object a line.
 *
 * The first line: `{"format":"cryptoki recording","version":1,"command":"cryptoki
 * objects","time":"2026-01-31T12:00:00.000Z"}`, with the command line, or another description of the work, and the
 * time.
 *
 * Every further line has `kind`, the `reader`'s name, the card's `atr` (hexadecimal), the `protocol` (1 for T=0, 2 for
 * T=1, 4 raw, 0 none) and `at`, milliseconds since the first line. The kinds:
 *
 * - `connect`: a connection was opened.
 * - `transmit`: a `command` APDU with its `answer`, both hexadecimal, and the milliseconds it `took`.
 * - `control`: the same with the reader itself, and the control `code`.
 *
 * Instead of an `answer` there may be an `error`: the name of a PC/SC code, or its hexadecimal number. `**` among the
 * digits replaces one or more concealed bytes.
 */
const RECORDING_FORMAT = "cryptoki recording";
const VERSION = 1;
/** Replaces one or more bytes. */
export const CONCEALED = "**";

export interface RecordingHeader {
  readonly command: string;
  readonly time: Date;
}

export interface LineBase {
  readonly reader: string;
  readonly atr: Uint8Array;
  readonly protocol: number;
  /** Milliseconds since the recording began. */
  readonly at: number;
}

export interface ConnectLine extends LineBase {
  readonly kind: "connect";
}

export interface Exchange {
  readonly took: number;
  /** Hexadecimal, with `**` for secret bytes. */
  readonly command: string;
  /** The answer, in the form of `command`, or the error code. */
  readonly outcome: { readonly answer: string } | { readonly error: number };
}

export interface TransmitLine extends LineBase, Exchange {
  readonly kind: "transmit";
}

export interface ControlLine extends LineBase, Exchange {
  readonly kind: "control";
  readonly code: number;
}

export type RecordingLine = ConnectLine | TransmitLine | ControlLine;

/** A line with the number that it has in its file, from 1. */
export type Numbered<T> = T & { readonly line: number };

export interface Recording {
  readonly header: RecordingHeader;
  readonly lines: readonly Numbered<RecordingLine>[];
}

export function formatHeader({ command, time }: RecordingHeader): string {
  return JSON.stringify({ format: RECORDING_FORMAT, version: VERSION, command, time: time.toISOString() });
}

export function formatLine(line: RecordingLine): string {
  const { kind, reader, protocol, at } = line;
  const base = { kind, reader, atr: toHex(line.atr), protocol, at };
  if (line.kind === "connect") return JSON.stringify(base);
  const { took, command, outcome } = line;
  const exchange = { took, command, ...("error" in outcome ? { error: errorName(outcome.error) } : outcome) };
  return JSON.stringify(line.kind === "control" ? { ...base, code: line.code, ...exchange } : { ...base, ...exchange });
}

/**
 * Parses a recording strictly: an additional line, an unknown or missing field, or a wrong digit is an error.
 * @throws {DataError} with the number of the line.
 */
export function parseRecording(text: string): Recording {
  const texts = text.split("\n");
  if (texts.at(-1) === "") texts.pop();
  const [first = "", ...rest] = texts;
  const header = onLine(1, () => parseHeader(first));
  const lines = rest.map((content, index) =>
    onLine(index + 2, () => Object.assign(parseLine(content), { line: index + 2 })),
  );
  return { header, lines };
}

function onLine<T>(number: number, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof DataError) throw new DataError(`recording, line ${number}: ${cause.message}`, { cause });
    throw cause;
  }
}

function parseHeader(line: string): RecordingHeader {
  const fields = new Fields(line);
  if (fields.string("format") !== RECORDING_FORMAT) throw new DataError("not a recording of card exchanges");
  const version = fields.integer("version", 0xffff);
  if (version !== VERSION) throw new DataError(`version ${version}; this program reads version ${VERSION}`);
  const command = fields.string("command");
  const text = fields.string("time");
  const time = new Date(text);
  if (!(time.getTime() >= 0) || time.toISOString() !== text)
    throw new DataError("time is not like 2026-01-31T12:00:00.000Z");
  fields.end();
  return { command, time };
}

const MAX_ATR = 33;
const PROTOCOLS: readonly number[] = [0, 1, 2, 4];

function parseLine(text: string): RecordingLine {
  const fields = new Fields(text);
  const kind = fields.string("kind");
  const reader = fields.string("reader");
  const atr = fromHex(fields.digits("atr"));
  if (atr.length > MAX_ATR) throw new DataError(`atr of ${atr.length} bytes`);
  const protocol = fields.integer("protocol", 4);
  if (!PROTOCOLS.includes(protocol)) throw new DataError(`protocol ${protocol}`);
  const base = { reader, atr, protocol, at: fields.milliseconds("at") };
  let line: RecordingLine;
  switch (kind) {
    case "connect":
      line = { kind, ...base };
      break;
    case "transmit":
      line = { kind, ...base, ...parseExchange(fields) };
      break;
    case "control":
      line = { kind, ...base, code: fields.integer("code", 0xffff_ffff), ...parseExchange(fields) };
      break;
    default:
      throw new DataError(`kind ${JSON.stringify(kind)}`);
  }
  fields.end();
  return line;
}

function parseExchange(fields: Fields): Exchange {
  const took = fields.milliseconds("took");
  const command = fields.concealed("command");
  if (!fields.has("error")) return { took, command, outcome: { answer: fields.concealed("answer") } };
  return { took, command, outcome: { error: errorCode(fields.string("error")) } };
}

function errorName(code: number): string {
  return Object.entries(SCARD_ERRORS).find(([, known]) => known.code === code)?.[0] ?? `0x${code.toString(16)}`;
}

function errorCode(name: string): number {
  const known = Object.entries(SCARD_ERRORS).find(([known]) => known === name);
  if (known) return known[1].code;
  if (!/^0x[0-9a-f]{1,8}$/u.test(name)) throw new DataError("error is neither the name of a PC/SC code nor a number");
  return Number.parseInt(name, 16);
}

/** The fields of one JSON object, each read once. */
class Fields {
  readonly #fields: Map<string, unknown>;

  constructor(text: string) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw new DataError("not JSON", { cause });
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new DataError("not a JSON object");
    this.#fields = new Map(Object.entries(value));
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  string(name: string): string {
    const value = this.#take(name);
    if (typeof value !== "string") throw new DataError(`${name} is not a string`);
    return value;
  }

  integer(name: string, most: number): number {
    const value = this.#take(name);
    if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= most) return value;
    throw new DataError(`${name} is not a number from 0 to ${most}`);
  }

  milliseconds(name: string): number {
    const value = this.#take(name);
    if (typeof value === "number" && value >= 0 && value < Infinity) return value;
    throw new DataError(`${name} is not a number of milliseconds`);
  }

  digits(name: string): string {
    const text = this.string(name);
    if (/^(?:[0-9a-f]{2})*$/u.test(text)) return text;
    throw new DataError(`${name} is not hexadecimal: whole bytes, lower case`);
  }

  concealed(name: string): string {
    const text = this.string(name);
    if (/^(?:[0-9a-f]{2}|\*\*)*$/u.test(text) && !text.includes(CONCEALED + CONCEALED)) return text;
    throw new DataError(`${name} is not hexadecimal: whole bytes, lower case, ${CONCEALED} for what is concealed`);
  }

  /** Throws unless every field was read. */
  end(): void {
    const [name] = this.#fields.keys();
    if (name !== undefined) throw new DataError(`unknown field ${JSON.stringify(name)}`);
  }

  #take(name: string): unknown {
    if (!this.#fields.has(name)) throw new DataError(`${name} is missing`);
    const value = this.#fields.get(name);
    this.#fields.delete(name);
    return value;
  }
}
