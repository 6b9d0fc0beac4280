import { MalformedAnswerError, StatusError, SW } from "../../apdu/index.ts";
import { memoizeAsync, MemoizedMap } from "../../async/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import { isAnswer, isMalformed, readTwiceIfMalformed } from "../../card/index.ts";
import type { Catalogue, Findings, Note } from "./catalogue.ts";
import { type CardFiles, isReferenceAtHand, readReference, type ValueOptions } from "../files/files.ts";
import { childOf, type FilePath, parentOf, pathName, resolve } from "../files/paths.ts";
import type { Pkcs15Session } from "../files/session.ts";
import {
  type DirectoryEntry,
  type DirectoryKind,
  type OdfEntry,
  readElements,
  readEntry,
  readOdfEntry,
} from "../syntax/directory.ts";
import type { ApplicationTemplate } from "../syntax/ef-dir.ts";
import type { FileReference, ObjectValue } from "../syntax/path.ts";
import { readTokenInfo, type TokenInfo } from "../syntax/token-info.ts";

/** An object of a directory, and where its entry stands. */
export interface DirectoryItem {
  readonly kind: DirectoryKind;
  readonly entry: DirectoryEntry;
  readonly der: Uint8Array;
  /** The directory file; undefined for an object that stands in the ODF itself. */
  readonly file: FilePath | undefined;
}

/** Identifiers that the standard gives the files of an application (ISO/IEC 7816-15 section 7.4, table 1). */
const FILE_ID = {
  ODF: Uint8Array.of(0x50, 0x31),
  TOKEN_INFO: Uint8Array.of(0x50, 0x32),
  UNUSED_SPACE: Uint8Array.of(0x50, 0x33),
} as const;
/** More directory files than kinds of objects are possible, and far more are not sensible. */
const MAX_DIRECTORIES = 64;
/**
 * So much padding behind an object is taken for the end of a directory: what a deleted object leaves is filled up by whoever
 * writes the next one, and every part of a file that is not read is an exchange saved.
 */
const PADDING_THAT_ENDS = 64;

/** What the files of one application say, read when it is first asked for. What is wrong with them is noted, and left out. */
export class CardContents {
  readonly session: Pkcs15Session;
  readonly files: CardFiles;
  readonly #findings: Findings;
  readonly #template: ApplicationTemplate | undefined;
  readonly #catalogue: Catalogue | undefined;
  readonly #directories = new MemoizedMap((kind: DirectoryKind) =>
    this.#twice((note) => this.#readDirectory(kind, note)),
  );
  /** Kinds of which the card kept a directory to itself: it wants a PIN before. */
  readonly #refused = new Set<DirectoryKind>();
  #refusals = 0;
  /** Kinds of which something is on the card that was not read. */
  readonly #incomplete = new Set<DirectoryKind>();
  /** The entries of the ODF. @throws {StatusError} if the card has none: then it has no application. */
  readonly odf = memoizeAsync(() => this.#twice((note) => this.#readOdf(note)));
  /** Undefined if the card has none, or one that cannot be read. */
  readonly tokenInfo = memoizeAsync(() => this.#twice((note) => this.#readTokenInfo(note)));

  constructor(
    session: Pkcs15Session,
    files: CardFiles,
    findings: Findings,
    { template, catalogue }: { readonly template?: ApplicationTemplate; readonly catalogue?: Catalogue } = {},
  ) {
    this.session = session;
    this.files = files;
    this.#findings = findings;
    this.#template = template;
    this.#catalogue = catalogue;
  }

  /** Whether an ODF lists the objects; without one, nothing is known of how objects are added. */
  get hasOdf(): boolean {
    return this.#catalogue === undefined;
  }

  /** Where the ODF of an application is. */
  static odfPath(df: FilePath, template?: ApplicationTemplate): FilePath {
    return template?.odf ? resolve(df, template.odf) : childOf(df, FILE_ID.ODF);
  }

  /** Where this application's ODF is. */
  get odfPlace(): FilePath {
    return CardContents.odfPath(this.session.applicationDf, this.#template);
  }

  get tokenInfoPlace(): FilePath {
    const df = this.session.applicationDf;
    const named = this.#template?.tokenInfo;
    return named ? resolve(df, named) : childOf(df, FILE_ID.TOKEN_INFO);
  }

  get unusedSpacePlace(): FilePath {
    const df = this.session.applicationDf;
    const named = this.#template?.unusedSpace;
    return named ? resolve(df, named) : childOf(df, FILE_ID.UNUSED_SPACE);
  }

  /**
   * What `read` gives. Where something does not parse, it is read once more: it may have been broken on its way, and only what
   * comes broken twice stands so on the card, and is a finding.
   */
  async #twice<T>(read: (note: Note) => Promise<T>): Promise<T> {
    const problems: string[] = [];
    const first = await read((_where, problem, place) => {
      problems.push(problem);
      if (place) this.files.doubt(place);
      else this.#catalogue?.forget();
    });
    if (problems.length === 0) return first;
    return read((where, problem) => {
      this.#findings.add(where, problem);
    });
  }

  async #readOdf(note: Note): Promise<readonly OdfEntry[]> {
    const place = this.odfPlace;
    const { bytes } = await this.files.read(place, { enough: endsInPadding });
    const where = `ODF ${pathName(place)}`;
    const entries = elements(bytes, where, place, note).flatMap(({ der, at }) =>
      attempt(() => readOdfEntry(der), at, place, note),
    );
    if (entries.length > MAX_DIRECTORIES) this.#findings.add(where, `${entries.length} directories`);
    this.#locate(entries);
    return entries.slice(0, MAX_DIRECTORIES);
  }

  /** Whole paths in the ODF tell where the application is, of which only the name was known. */
  #locate(entries: readonly OdfEntry[]): void {
    const df = this.session.applicationDf;
    for (const entry of entries) {
      if (!("file" in entry) || entry.file.path.length % 2 !== 0) continue;
      const place = resolve(df, entry.file);
      if (place.from === "master-file") this.session.locate(parentOf(place));
    }
  }

  /** Whether the objects of one kind cost nothing any more. */
  isRead(kind: DirectoryKind): boolean {
    return this.#directories.has(kind);
  }

  /** The objects of one kind. An entry, a file or a part of one that does not parse is left out, and noted. */
  directory(kind: DirectoryKind): Promise<readonly DirectoryItem[]> {
    return this.#directories.get(kind);
  }

  async #readDirectory(kind: DirectoryKind, note: Note): Promise<readonly DirectoryItem[]> {
    this.#incomplete.delete(kind);
    const objects = await this.#catalogue?.objects(kind, note);
    if (objects) return objects.map((object) => ({ kind, ...object, file: undefined }));
    const found: DirectoryItem[] = [];
    const listed = new Map<string, DirectoryKind>();
    for (const entry of await this.odf()) {
      const before = "file" in entry ? this.#list(listed, entry) : undefined;
      if (entry.kind !== kind || before === kind) continue;
      // It was listed before, for objects of another kind.
      if (before !== undefined) this.#findings.add(`ODF, ${kind}`, `the directory is that of ${before}`);
      else if ("protected" in entry) this.#findings.add(`ODF, ${kind}`, "the directory is enveloped for somebody else");
      else if ("objects" in entry) {
        found.push(...items(kind, entry.objects, `ODF, ${kind}`, { file: undefined, source: this.odfPlace, note }));
      } else found.push(...(await this.#readFile(kind, entry.file, note)));
    }
    return found;
  }

  /** Takes note of a directory. @returns Of which kind the ODF said before that it is: it has its objects once. */
  #list(
    listed: Map<string, DirectoryKind>,
    { kind, file }: OdfEntry & { readonly file: FileReference },
  ): DirectoryKind | undefined {
    const { path, index = 0 } = file;
    const place = path.length > 1 ? pathName(resolve(this.session.applicationDf, file)) : toHex(path);
    const name = `${place} ${index}`;
    const before = listed.get(name);
    if (before === undefined) listed.set(name, kind);
    return before;
  }

  async #readFile(kind: DirectoryKind, file: FileReference, report: Note): Promise<readonly DirectoryItem[]> {
    const note: Note = (...problem) => {
      this.#incomplete.add(kind);
      report(...problem);
    };
    const df = this.session.applicationDf;
    const where = `${kind} ${toHex(file.path)}`;
    // What a short identifier leads to belongs to the DF.
    let source = df;
    try {
      const place = file.path.length === 1 ? undefined : resolve(df, file);
      source = place ?? df;
      const name = place ? pathName(place) : `short identifier ${toHex(file.path)}`;
      const at = `${kind} ${name}`;
      const options = { enough: endsInPadding, guarded: this.#refused.has(kind) };
      return items(kind, await this.#read(file, at, options), at, { file: place, source, note });
    } catch (error) {
      if (isMalformed(error) || isNoFile(error)) {
        note(where, error.message, source);
        return [];
      }
      if (!isAnswer(error)) throw error;
      if (error.sw === SW.SECURITY_STATUS_NOT_SATISFIED) {
        this.#refused.add(kind);
        this.#refusals++;
      }
      this.#incomplete.add(kind);
      this.#findings.add(where, error.message);
      return [];
    }
  }

  /** Whether {@link directory} gave all objects of a kind that the card has, as far as is known. */
  isComplete(kind: DirectoryKind): boolean {
    return !this.#incomplete.has(kind);
  }

  /** How often the card has refused a directory for want of a PIN. */
  get refusals(): number {
    return this.#refusals;
  }

  /** A PIN was verified: what the card refused before is asked for again. @returns Whether there is any such directory. */
  forgetRefused(): boolean {
    const again = [...this.#refused].filter((kind) => this.#directories.has(kind));
    for (const kind of again) this.#directories.delete(kind);
    return again.length > 0;
  }

  async #readTokenInfo(note: Note): Promise<TokenInfo | undefined> {
    if (this.#catalogue) return this.#catalogue.tokenInfo(note);
    const place = this.tokenInfoPlace;
    const where = `TokenInfo ${pathName(place)}`;
    try {
      const { bytes } = await this.files.read(place);
      const [first] = elements(bytes, where, place, note);
      const info = first && readTokenInfo(first.der);
      if (info?.problem !== undefined) note(where, info.problem, place);
      return info;
    } catch (error) {
      if (isMalformed(error) || isNoFile(error)) note(where, error.message, place);
      else if (isAnswer(error)) this.#findings.add(where, error.message);
      else throw error;
      return undefined;
    }
  }

  /**
   * The bytes that an object's value is.
   * @param where What it is, for the findings.
   * @throws {StatusError} if the card refuses; {MalformedAnswerError} for a value that is not on the card.
   */
  async value(value: ObjectValue, where: string, options: ValueOptions = {}): Promise<Uint8Array> {
    try {
      switch (value.kind) {
        case "direct":
          return value.der;
        case "file":
          return await this.#read(value.file, where, options);
        case "url":
          throw new MalformedAnswerError(`the value is not on the card, but at ${value.url}`);
        case "protected":
          throw new MalformedAnswerError("the value is enveloped for somebody else");
      }
    } catch (error) {
      if (isMalformed(error) || isAnswer(error) || isNoFile(error)) this.#findings.add(where, error.message);
      throw error;
    }
  }

  /** Whether {@link value} costs no exchange. */
  async isAtHand(value: ObjectValue): Promise<boolean> {
    if (value.kind !== "file") return value.kind === "direct";
    return isReferenceAtHand(this.files, this.session.applicationDf, value.file);
  }

  /**
   * As {@link value}, and what `parse` makes of it; what does not parse is read once more.
   * @throws {DataError} as `parse`; as {@link value}.
   */
  parsed<T>(
    value: ObjectValue,
    where: string,
    options: ValueOptions,
    parse: (bytes: Uint8Array) => T | Promise<T>,
  ): Promise<T> {
    return readTwiceIfMalformed(async () => {
      const bytes = await this.value(value, where, options);
      try {
        return await parse(bytes);
      } catch (error) {
        if (value.kind === "file") {
          const df = this.session.applicationDf;
          this.files.doubt(value.file.path.length === 1 ? df : resolve(df, value.file));
        }
        throw error;
      }
    });
  }

  #read(file: FileReference, where: string, options: ValueOptions): Promise<Uint8Array> {
    return readReference(this.files, this.session.applicationDf, file, options, (problem) => {
      this.#findings.add(where, problem);
    });
  }

  report(where: string, problem: string): void {
    this.#findings.add(where, problem);
  }

  /** Everything is read anew when it is next asked for: the card was written to. */
  forget(): void {
    this.#directories.clear();
    this.odf.clear();
    this.tokenInfo.clear();
  }
}

/** Whether a path leads to something that has no bytes, a DF for one. */
function isNoFile(error: unknown): error is StatusError {
  return (
    error instanceof StatusError && (error.sw === SW.NO_CURRENT_FILE || error.sw === SW.COMMAND_INCOMPATIBLE_WITH_FILE)
  );
}

/** Whether what was read of a directory file ends in padding, so that nothing is expected behind it. */
function endsInPadding(bytes: Uint8Array): boolean {
  const tail = bytes.subarray(-PADDING_THAT_ENDS);
  const [fill] = tail;
  if (tail.length < PADDING_THAT_ENDS || (fill !== 0x00 && fill !== 0xff)) return false;
  if (tail.some((octet) => octet !== fill)) return false;
  const { elements, broken } = readElements(bytes, "directory");
  const last = elements.at(-1);
  return broken.length === 0 && (last ? last.offset + last.length : 0) <= bytes.length - PADDING_THAT_ENDS;
}

/** Where the bytes of a directory come from. */
interface Source {
  /** The file that they are; undefined where they stand in the ODF. */
  readonly file: FilePath | undefined;
  /** What is to be read again if they do not parse. */
  readonly source: FilePath;
  readonly note: Note;
}

function items(kind: DirectoryKind, bytes: Uint8Array, where: string, { file, source, note }: Source): DirectoryItem[] {
  return elements(bytes, where, source, note).flatMap(({ der, at }) =>
    attempt(() => ({ kind, entry: readEntry(kind, der), der, file }), at, source, note),
  );
}

/** The elements of a file; what is broken is noted and left out. */
function elements(
  bytes: Uint8Array,
  where: string,
  place: FilePath,
  note: Note,
): { readonly der: Uint8Array; readonly at: string }[] {
  const { elements: whole, broken } = readElements(bytes, where);
  for (const { offset, reason } of broken) note(`${where}, at ${offset}`, reason, place);
  return whole.map(({ der, offset }) => ({ der, at: `${where}, at ${offset}` }));
}

function attempt<T>(read: () => T, where: string, place: FilePath, note: Note): T[] {
  try {
    return [read()];
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    note(where, error.message, place);
    return [];
  }
}
