import { type CommandApdu, MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../../apdu/index.ts";
import { memoizeAsync, type MemoizedAsync } from "../../async/index.ts";
import { concat } from "../../bytes/index.ts";
import { confirmedAnswer } from "../../card/index.ts";
import type { FileReference } from "../syntax/path.ts";
import type { CardSession } from "./card-session.ts";
import { type FileControl, NOTHING_TOLD, readBinary, readRecord, readShortFile } from "./commands.ts";
import { type FilePath, pathName, resolve } from "./paths.ts";
import type { PublicCache } from "./public-cache.ts";
import type { Pkcs15Session } from "./session.ts";

/** How to read a file's bytes. */
export interface FileAccess {
  /** Prepares reading. @throws {StatusError} if there is no such file. */
  open(turn: CardSession, place: FilePath): Promise<FileControl>;
  read(place: FilePath, offset: number, length: number): CommandApdu;
  /** Whether one command's answer is complete; absent if only the file's end shows it. */
  isAll?(data: Uint8Array): boolean;
}

/** SELECT, then READ BINARY of the current file (ISO/IEC 7816-4 section 11.3.3). */
const STANDARD_ACCESS: FileAccess = {
  open: (turn, place) => turn.select(place),
  read: (_place, offset, length) => readBinary(offset, length),
};

/** Largest record number: FF is reserved (ISO/IEC 7816-4 section 11.4.1). */
const MAX_RECORDS = 254;

/**
 * The records of the current record file: all of them, or one, if a path names its number (ISO/IEC 7816-15 section
 * 8.2.5).
 * @param only The number, from 1.
 * @throws {StatusError} for any refusal except that there is no such record.
 */
export async function readRecords(
  turn: CardSession,
  place: FilePath,
  { records: count = MAX_RECORDS }: FileControl,
  only = 0,
): Promise<readonly Uint8Array[]> {
  const records: Uint8Array[] = [];
  const last = only > 0 ? only : count;
  for (let number = Math.max(1, only); number <= Math.min(last, MAX_RECORDS); number++) {
    const { data, sw } = await turn.send(readRecord(number));
    if (sw === SW.RECORD_NOT_FOUND) break;
    if (sw !== SW.OK) throw new StatusError(`READ RECORD ${number} of ${pathName(place)}`, sw);
    records.push(data);
  }
  return records;
}

/** A file as far as it was read. */
export interface FileContents {
  readonly bytes: Uint8Array;
  /** Its size, if the card reported it. */
  readonly control: FileControl;
}

interface ReadOptions {
  /** Bytes to skip, and most bytes to read. For a record file the first is the record's number. */
  readonly offset?: number;
  readonly length?: number;
  /** Whether a PIN protects it: then no copy is stored. */
  readonly guarded?: boolean;
  /** Called after each part: whether the bytes read so far are enough. */
  readonly enough?: (bytes: Uint8Array) => boolean;
}

/** Limit of the offsets of the even READ BINARY (ISO/IEC 7816-4 section 11.3.2). */
const MAX_OFFSET = 0x7fff;
const SHORT_CHUNK = 256;
const EXTENDED_CHUNK = 65_536;
/** Sizes to use when a card refuses a longer one: 255 of old MyEID cards (OpenSC, card-myeid.c), 128, 64. */
const SMALLER_CHUNKS: readonly number[] = [255, 128, 64];
/** Fewer bytes than this mean the end of the file: a card that returns a byte at a time is not supported. */
const MIN_PART = 32;

/** Refusals to read after the end. */
const BEHIND_END: ReadonlySet<number> = new Set([SW.WRONG_P1_P2, SW.INCORRECT_P1_P2, SW.WRONG_LENGTH]);

/** Whether the end was reached: the answer is shorter than requested, or empty after the `begun` bytes. */
function isEnd(sw: number, begun: boolean): boolean {
  return sw === SW.OK || sw === SW.END_OF_FILE || (begun && BEHIND_END.has(sw));
}

/** The files of a card, each read on first use and cached. */
export class CardFiles {
  readonly #session: Pkcs15Session;
  readonly #extended: boolean;
  readonly #access: FileAccess;
  readonly #read = new Map<string, MemoizedAsync<FileContents>>();
  /** Files whose stored copies are ignored: the last one did not parse. */
  readonly #doubted = new Set<string>();
  #chunk = SHORT_CHUNK;
  #cache: PublicCache | undefined;

  /** @param extended Whether the card announces extended length. */
  constructor(session: Pkcs15Session, extended: boolean, access: FileAccess = STANDARD_ACCESS) {
    this.#session = session;
    this.#extended = extended;
    this.#access = access;
  }

  /**
   * Reads a file, or the part of it in `options`.
   * @throws {StatusError} 6A82 if there is none, 6982 if it needs a PIN; a failure is not cached.
   */
  read(place: FilePath, options: ReadOptions = {}): Promise<FileContents> {
    const key = partKey(place, options.offset, options.length);
    return this.#once(key, () =>
      this.#cached(key, options, () => this.#session.read((turn) => this.#fetch(turn, place, options))),
    );
  }

  /** Whether {@link read} of the same part costs no exchange: it is cached, or there is a stored copy. */
  async isAtHand(place: FilePath, offset?: number, length?: number): Promise<boolean> {
    const key = partKey(place, offset, length);
    if (this.#read.get(key)?.known === true) return true;
    return !this.#doubted.has(key) && (await this.#cache?.get(key)) !== undefined;
  }

  /** As {@link isAtHand}, for {@link readShort}. */
  isShortAtHand(df: FilePath, shortId: number): boolean {
    return this.#read.get(shortKey(df, shortId))?.known === true;
  }

  #once(key: string, read: () => Promise<FileContents>): Promise<FileContents> {
    const kept = this.#read.get(key);
    // After a failure the options may differ.
    const file = kept?.known === true ? kept : memoizeAsync(read);
    this.#read.set(key, file);
    return file();
  }

  /** Stores a copy of a file under another path too, by which a later process reaches it. */
  async keepCopyAs(place: FilePath, other: FilePath, bytes: Uint8Array): Promise<void> {
    if (pathName(place) !== pathName(other)) await this.#cache?.set(partKey(other), bytes);
  }

  /** Uses this store for copies of public files from now on. */
  keepCopies(cache: PublicCache | undefined): void {
    this.#cache = cache;
  }

  async #cached(key: string, { guarded }: ReadOptions, fetch: () => Promise<FileContents>): Promise<FileContents> {
    const cache = guarded === true ? undefined : this.#cache;
    if (!cache) return fetch();
    const copy = this.#doubted.delete(key) ? undefined : await cache.get(key);
    if (copy) return { bytes: copy, control: NOTHING_TOLD };
    const contents = await fetch();
    await cache.set(key, contents.bytes);
    return contents;
  }

  /** Reads a file of `df` by its short identifier, 1 to 30, to its end. Errors as for {@link read}. */
  readShort(df: FilePath, shortId: number): Promise<FileContents> {
    const name = `short identifier ${shortId}`;
    const read = async (turn: CardSession): Promise<FileContents> => {
      await turn.enter(df);
      turn.changed(df);
      const first = await turn.send(readShortFile(shortId, SHORT_CHUNK));
      if (first.sw !== SW.OK && first.sw !== SW.END_OF_FILE) throw new StatusError(`READ BINARY of ${name}`, first.sw);
      const whole = first.sw === SW.END_OF_FILE || first.data.length < SHORT_CHUNK;
      const rest = whole ? new Uint8Array() : await this.#readTransparent(turn, df, undefined, { offset: SHORT_CHUNK });
      return { bytes: concat(first.data, rest), control: NOTHING_TOLD };
    };
    return this.#once(shortKey(df, shortId), () => this.#session.read(read));
  }

  /** Forgets a file; the next caller reads it again. A short identifier may be another name of it. */
  forget(place: FilePath): void {
    const name = pathName(place);
    for (const key of this.#read.keys()) {
      if (key.startsWith(`${name} `) || key.includes(` ${SHORT_IDENTIFIER} `)) this.#read.delete(key);
    }
  }

  /** Forgets a file that did not parse, and ignores its stored copies. */
  doubt(place: FilePath): void {
    const name = pathName(place);
    for (const key of this.#read.keys()) if (key.startsWith(`${name} `)) this.#doubted.add(key);
    this.forget(place);
    this.#session.doubt();
  }

  /** Forgets all files and their stored copies: before a change, whose beginning reads anew, and after one that failed. */
  forgetAll(): void {
    this.#read.clear();
    this.#cache = undefined;
  }

  /**
   * A file from its beginning, for work that has the card to itself: what is known of it, with as much more as is `wanted`.
   * @param wanted Most bytes that are needed; less is returned only at the end of the file. Default: the whole file.
   */
  async during(turn: CardSession, place: FilePath, wanted = Infinity): Promise<FileContents> {
    const kept = this.#read.get(partKey(place));
    const known = kept?.known === true ? await kept() : undefined;
    if (known && isEnough(known, wanted)) return known;
    const offset = known?.bytes.length ?? 0;
    const enough = (bytes: Uint8Array): boolean => offset + bytes.length >= wanted;
    const { bytes, control } = await this.#fetch(turn, place, { offset, enough });
    const contents = { bytes: concat(known?.bytes ?? new Uint8Array(), bytes), control };
    this.#keep(place, contents);
    return contents;
  }

  /** Call it after `bytes` were written to a file at `offset`. */
  async wrote(place: FilePath, offset: number, bytes: Uint8Array): Promise<void> {
    const kept = this.#read.get(partKey(place));
    const known = kept?.known === true ? await kept() : undefined;
    this.forget(place);
    if (!known || known.control.structure === "records" || offset > known.bytes.length) return;
    const end = offset + bytes.length;
    const written = concat(known.bytes.subarray(0, offset), bytes, known.bytes.subarray(end));
    this.#keep(place, { ...known, bytes: written });
  }

  /** Call it after a file was written that has exactly these bytes. */
  created(place: FilePath, bytes: Uint8Array): void {
    this.forget(place);
    this.#keep(place, { bytes: Uint8Array.from(bytes), control: { ...NOTHING_TOLD, size: bytes.length } });
  }

  #keep(place: FilePath, contents: FileContents): void {
    const file = memoizeAsync(() => Promise.resolve(contents));
    file.set(contents);
    this.#read.set(partKey(place), file);
  }

  /** Reads the whole file to its end, without the cache. */
  readAnew(turn: CardSession, place: FilePath): Promise<FileContents> {
    this.forget(place);
    return this.#fetch(turn, place, {});
  }

  async #fetch(turn: CardSession, place: FilePath, options: ReadOptions): Promise<FileContents> {
    const control = await this.#access.open(turn, place);
    if (control.structure === "df") throw new MalformedAnswerError(`${pathName(place)} is a DF, not a file`);
    if (control.structure === "records") return fromRecords(turn, place, control, options);
    try {
      return { bytes: await this.#readTransparent(turn, place, control.size, options), control };
    } catch (error) {
      if (!(error instanceof StatusError && error.sw === SW.COMMAND_INCOMPATIBLE_WITH_FILE)) throw error;
      // If the card reports nothing of its files, one without readable bytes may have records.
      return fromRecords(turn, place, { ...control, structure: "records" }, options);
    }
  }

  async #readTransparent(
    turn: CardSession,
    place: FilePath,
    size: number | undefined,
    { offset = 0, length, enough }: ReadOptions,
  ): Promise<Uint8Array> {
    const end = Math.min(size ?? Infinity, length === undefined ? Infinity : offset + length, MAX_OFFSET + 1);
    let bytes: Uint8Array = new Uint8Array();
    for (let at = offset; at < end; at = offset + bytes.length) {
      const wanted = Math.min(end - at, this.#extended ? EXTENDED_CHUNK : this.#chunk);
      const { data, sw } = await this.#part(turn, place, { at, wanted, size, begun: at > offset });
      bytes = concat(bytes, data.subarray(0, end - at));
      if (sw === SW.OK && data.length > 0) {
        // Stops if the card returned less than any card would, or so little that there can be no more.
        if (data.length < Math.min(wanted, size === undefined ? SHORT_CHUNK : MIN_PART)) break;
        if (enough?.(bytes) === true || this.#access.isAll?.(data) === true) break;
        continue;
      }
      if (sw === SW.WRONG_LENGTH && at === offset && wanted === this.#chunk && this.#shrink()) continue;
      if (isEnd(sw, at > 0)) break;
      throw new StatusError(`READ BINARY of ${pathName(place)}`, sw);
    }
    return bytes;
  }

  /** One READ BINARY. If a file's size is known, a read without bytes is an error before its end. */
  async #part(
    turn: CardSession,
    place: FilePath,
    { at, wanted, size, begun }: { at: number; wanted: number; size: number | undefined; begun: boolean },
  ): Promise<ResponseApdu> {
    const send = (): Promise<ResponseApdu> => turn.send(this.#access.read(place, at, wanted));
    if (size === undefined) return send();
    const answer = begun ? await confirmedAnswer(send) : await send();
    if (!begun && answer.sw === SW.OK && answer.data.length === 0) {
      throw new MalformedAnswerError(`the card returned no bytes of ${pathName(place)}, which has ${size} bytes`);
    }
    return answer;
  }

  #shrink(): boolean {
    const next = SMALLER_CHUNKS.find((size) => size < this.#chunk);
    if (next === undefined) return false;
    this.#chunk = next;
    return true;
  }
}

/** The cache key of a part of a file. */
function partKey(place: FilePath, offset = 0, length?: number): string {
  return `${pathName(place)} ${offset} ${length ?? ""}`;
}

const SHORT_IDENTIFIER = "short identifier";

function shortKey(df: FilePath, shortId: number): string {
  return `${pathName(df)} ${SHORT_IDENTIFIER} ${shortId}`;
}

function isEnough({ bytes, control: { size, structure } }: FileContents, wanted: number): boolean {
  return structure === "records" || bytes.length >= Math.min(wanted, size ?? Infinity);
}

/** The joined records: a directory of records is parsed so. */
async function fromRecords(
  turn: CardSession,
  place: FilePath,
  control: FileControl,
  { offset }: ReadOptions,
): Promise<FileContents> {
  return { bytes: concat(...(await readRecords(turn, place, control, offset))), control };
}

/** Reads a value from any place. */
export type ValueOptions = Pick<ReadOptions, "enough" | "guarded">;

/**
 * Reads the part of a file that a directory refers to, as far as the file goes.
 * @param df The application's.
 * @param report Called for a file that ends before the part does.
 * @throws {MalformedAnswerError} if it ends before the part begins; {StatusError} if the card refuses.
 */
export async function readReference(
  files: CardFiles,
  df: FilePath,
  file: FileReference,
  options: ValueOptions,
  report: (problem: string) => void,
): Promise<Uint8Array> {
  const { index = 0, length } = file;
  const { bytes, control } = await readPart(files, df, file, options);
  // In a record file the index is a record's number.
  if (control.structure === "records" || options.enough?.(bytes) === true) return bytes;
  if (bytes.length === 0 && index > 0) throw new MalformedAnswerError(`the file ends before byte ${index}`);
  if (length !== undefined && length > bytes.length)
    report(`${length} bytes at ${index}: the file has ${bytes.length}`);
  return bytes;
}

async function readPart(
  files: CardFiles,
  df: FilePath,
  { path, index, length }: FileReference,
  options: ValueOptions,
): Promise<FileContents> {
  const [shortId = 0] = path;
  if (path.length === 1) {
    const { bytes, control } = await files.readShort(df, shortId);
    const from = index ?? 0;
    return { bytes: bytes.subarray(from, length === undefined ? undefined : from + length), control };
  }
  const part = { ...(index !== undefined && { offset: index }), ...(length !== undefined && { length }) };
  return files.read(resolve(df, { path }), { ...part, ...options });
}

/** Whether {@link readReference} costs no exchange. */
export async function isReferenceAtHand(
  files: CardFiles,
  df: FilePath,
  { path, index, length }: FileReference,
): Promise<boolean> {
  const [shortId = 0] = path;
  if (path.length === 1) return files.isShortAtHand(df, shortId);
  return files.isAtHand(resolve(df, { path }), index, length);
}
