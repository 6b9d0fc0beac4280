import { DataError, fromUtf8, toHex, utf8 } from "../bytes/index.ts";
import { digest } from "../crypto/index.ts";

/** Something in a transcript was changed, is missing, or does not belong together. */
export class TranscriptError extends Error {
  override readonly name = "TranscriptError";
}

/** A step, as the transcript keeps it. It holds no secret. */
export interface TranscriptEntry {
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly time: string;
  readonly step: string;
  readonly data: Readonly<Record<string, unknown>>;
  /** The digest of the entry before; zeros for the first. */
  readonly previous: string;
  /** SHA-256 over the others, hexadecimal. */
  readonly digest: string;
}

/** Signs the last digest of a finished transcript. */
export interface TranscriptSigner {
  /** PEM. */
  readonly publicKey: string;
  /** Base64. */
  sign(digest: Uint8Array): string;
}

export interface TranscriptSignature {
  readonly publicKey: string;
  readonly value: string;
}

const FORMAT = "cryptoki card setup transcript";
const VERSION = 1;
const NOTHING = "0".repeat(64);

/**
 * What was done to a card, step by step. Each entry holds the digest of the one before, so that a changed, missing or exchanged entry is
 * found. Who could write a whole new one is stopped by a signature, or by comparing the last digest with the one that was printed.
 */
export class Transcript {
  readonly #entries: TranscriptEntry[];
  signature: TranscriptSignature | undefined;

  private constructor(entries: TranscriptEntry[], signature?: TranscriptSignature) {
    this.#entries = entries;
    this.signature = signature;
  }

  static begin(): Transcript {
    return new Transcript([]);
  }

  /** @throws {TranscriptError} if it is none, or was changed. */
  static parse(bytes: Uint8Array): Transcript {
    const { format, version, entries, signature } = parseDocument(bytes);
    if (format !== FORMAT || version !== VERSION || !Array.isArray(entries)) {
      throw new TranscriptError("this is no transcript of cryptoki card setup, version 1");
    }
    let previous = NOTHING;
    const checked = entries.map((one: unknown, index) => {
      const where = `entry ${index + 1} of the transcript`;
      if (!isEntry(one)) throw new TranscriptError(`${where} is no step`);
      if (one.number !== index + 1 || one.previous !== previous || one.digest !== digestOf(one)) {
        throw new TranscriptError(`${where} (${one.step}) was changed, or the one before it`);
      }
      previous = one.digest;
      return one;
    });
    return new Transcript(checked, signature as TranscriptSignature | undefined);
  }

  get entries(): readonly TranscriptEntry[] {
    return this.#entries;
  }

  /** The digest of the last entry: it stands for all of them. */
  get digest(): string {
    return this.#entries.at(-1)?.digest ?? NOTHING;
  }

  /** The last entry of a step, of the key or object `about`, if it has one. */
  find(step: string, about?: string): TranscriptEntry | undefined {
    return this.#entries.findLast((entry) => entry.step === step && entry.data["about"] === about);
  }

  append(step: string, time: Date, data: Readonly<Record<string, unknown>>): void {
    const entry = { number: this.#entries.length + 1, time: time.toISOString(), step, data, previous: this.digest };
    this.#entries.push({ ...entry, digest: digestOf(entry) });
  }

  encode(): Uint8Array {
    const document = { format: FORMAT, version: VERSION, entries: this.#entries, signature: this.signature };
    return utf8(`${JSON.stringify(document, undefined, 2)}\n`);
  }
}

function isEntry(value: unknown): value is TranscriptEntry {
  if (typeof value !== "object" || value === null) return false;
  const { step, data } = value as Partial<Record<keyof TranscriptEntry, unknown>>;
  return typeof step === "string" && typeof data === "object" && data !== null;
}

function parseDocument(bytes: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(fromUtf8(bytes));
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (cause) {
    if (!(cause instanceof SyntaxError || cause instanceof DataError)) throw cause;
    throw new TranscriptError("the transcript is not JSON", { cause });
  }
  throw new TranscriptError("the transcript is not a JSON object");
}

function digestOf({ number, time, step, data, previous }: Omit<TranscriptEntry, "digest">): string {
  return toHex(digest("sha256", utf8(canonical([number, time, step, data, previous]))));
}

/** JSON without spaces, names in order: the same text for the same value. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((one) => canonical(one)).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`);
  return `{${members.join(",")}}`;
}
