import { MalformedAnswerError, StatusError, SW } from "../../apdu/index.ts";
import { memoizeAsync, MemoizedMap } from "../../async/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import { isAnswer, isMalformed, readTwiceIfMalformed } from "../../card/index.ts";
import type { Catalogue, Findings, Note } from "./catalogue.ts";
import { type CardFiles, isReferenceAtHand, readReference, type ValueOptions } from "../files/files.ts";
import { childOf, type FilePath, parentOf, pathName, resolve } from "../files/paths.ts";
import type { Pkcs15Session } from "../files/session.ts";
import {
  DIRECTORY_KINDS,
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

/** An object of a directory, and the place of its entry. */
export interface DirectoryItem {
  readonly kind: DirectoryKind;
  readonly entry: DirectoryEntry;
  readonly der: Uint8Array;
  /** The directory file; undefined for an object in the ODF itself. */
  readonly file: FilePath | undefined;
}

/** Identifiers that the standard gives the files of an application (ISO/IEC 7816-15 section 7.4, table 1). */
const FILE_ID = {
  ODF: Uint8Array.of(0x50, 0x31),
  TOKEN_INFO: Uint8Array.of(0x50, 0x32),
  UNUSED_SPACE: Uint8Array.of(0x50, 0x33),
} as const;
const OBJECT_KINDS: readonly DirectoryKind[] = DIRECTORY_KINDS.filter((kind) => kind !== "authentication");
/** Limit for directory files: more than there are kinds of objects. */
const MAX_DIRECTORIES = 64;
/**
 * This much padding after an object counts as the end of a directory: a deleted object's space is filled by the next
 * one, and every part of a file that is not read saves an exchange.
 */
const PADDING_THAT_ENDS = 1;

/**
 * The contents of the files of one application, read on first use. Malformed parts are skipped and reported as
 * findings.
 */
export class CardContents {
  readonly session: Pkcs15Session;
  readonly files: CardFiles;
  readonly #findings: Findings;
  readonly #template: ApplicationTemplate | undefined;
  readonly #catalogue: Catalogue | undefined;
  readonly #directories = new MemoizedMap((kind: DirectoryKind) =>
    this.#twice((note) => this.#readDirectory(kind, note)),
  );
  /** Kinds with a directory that the card withheld because it needs a PIN. */
  readonly #refused = new Set<DirectoryKind>();
  #refusals = 0;
  /** Kinds with objects on the card that were not read. */
  readonly #incomplete = new Set<DirectoryKind>();
  /** The entries of the ODF. @throws {StatusError} if the card has none, and so no application. */
  readonly odf = memoizeAsync(() => this.#twice((note) => this.#readOdf(note)));
  /** Undefined if the card has none, or an unreadable one. */
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

  /**
   * Runs `work`, which may read several files, in one transaction if each transaction begins with a SELECT, because only the name of the
   * application leads to them.
   */
  together<T>(work: () => Promise<T>): Promise<T> {
    const { card, applicationDf } = this.session;
    return applicationDf.from === "application" ? card.together(work) : work();
  }

  /** Whether an ODF lists the objects; without one, it is unknown how to add objects. */
  get hasOdf(): boolean {
    return this.#catalogue === undefined;
  }

  /** The place of an application's ODF. */
  static odfPath(df: FilePath, template?: ApplicationTemplate): FilePath {
    return template?.odf ? resolve(df, template.odf) : childOf(df, FILE_ID.ODF);
  }

  /** The place of this application's ODF. */
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
   * The result of `read`. If something does not parse, it is read once more, because a transmission error is possible;
   * only a second failure is a finding.
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

  /** Absolute paths in the ODF give the place of an application of which only the name was known. */
  #locate(entries: readonly OdfEntry[]): void {
    const df = this.session.applicationDf;
    for (const entry of entries) {
      if (!("file" in entry) || entry.file.path.length % 2 !== 0) continue;
      const place = resolve(df, entry.file);
      if (place.from === "master-file") this.session.locate(parentOf(place));
    }
  }

  /** Whether the objects of one kind are cached. */
  isRead(kind: DirectoryKind): boolean {
    return this.#directories.has(kind);
  }

  /**
   * The objects of one kind. Skips an entry, a file or a part of one that does not parse, and reports it as a finding.
   */
  directory(kind: DirectoryKind): Promise<readonly DirectoryItem[]> {
    return this.#directories.get(kind);
  }

  async #readDirectory(kind: DirectoryKind, note: Note): Promise<readonly DirectoryItem[]> {
    this.#incomplete.delete(kind);
    const objects = await this.#catalogue?.objects(kind, note);
    if (objects) return objects.map((object) => ({ kind, file: undefined, ...object }));
    const found: DirectoryItem[] = [];
    const listed = new Map<string, DirectoryKind>();
    for (const entry of await this.odf()) {
      const before = "file" in entry ? this.#list(listed, entry) : undefined;
      if (entry.kind !== kind || before === kind) continue;
      // Another kind listed it before.
      if (before !== undefined) this.#findings.add(`ODF, ${kind}`, `the directory is that of ${before}`);
      else if ("protected" in entry)
        this.#findings.add(`ODF, ${kind}`, "the directory is encrypted for another recipient");
      else if ("objects" in entry) {
        found.push(...items(kind, entry.objects, `ODF, ${kind}`, { file: undefined, source: this.odfPlace, note }));
      } else found.push(...(await this.#readFile(kind, entry.file, note)));
    }
    return found;
  }

  /** Records a directory. @returns The kind that the ODF gave it before: its objects are listed once. */
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
    // A short identifier refers to a file in the DF.
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

  /** Whether {@link directory} returned all objects of a kind, as far as is known. */
  isComplete(kind: DirectoryKind): boolean {
    return !this.#incomplete.has(kind);
  }

  /** How often the card has refused a directory because a PIN was missing. */
  get refusals(): number {
    return this.#refusals;
  }

  /** Call it after a PIN was verified: refused directories are read again. @returns Whether there are any. */
  forgetRefused(): boolean {
    const again = [...this.#refused].filter((kind) => this.#directories.has(kind));
    for (const kind of again) this.#directories.delete(kind);
    return again.length > 0;
  }

  async #readTokenInfo(note: Note): Promise<TokenInfo | undefined> {
    const catalogue = this.#catalogue;
    if (catalogue) return this.together(() => catalogue.tokenInfo(note));
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
   * The bytes of an object's value.
   * @param where The object's name, for the findings.
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
          throw new MalformedAnswerError("the value is encrypted for another recipient");
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
   * Parses {@link value} with `parse`; reads it once more if it does not parse.
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

  /** Forgets everything after a write. */
  forget(): void {
    this.#catalogue?.forget();
    this.#directories.clear();
    this.odf.clear();
    this.tokenInfo.clear();
  }

  /**
   * Has the ODF, TokenInfo and directories parsed again, from what {@link files} knows.
   * @param kinds Default: all except the PINs, which stay as long as the tokens.
   */
  forgetObjects(kinds: readonly DirectoryKind[] = OBJECT_KINDS): void {
    for (const kind of kinds) this.#directories.delete(kind);
    this.odf.clear();
    this.tokenInfo.clear();
  }
}

/** Whether a path refers to something without bytes, such as a DF. */
function isNoFile(error: unknown): error is StatusError {
  return (
    error instanceof StatusError && (error.sw === SW.NO_CURRENT_FILE || error.sw === SW.COMMAND_INCOMPATIBLE_WITH_FILE)
  );
}

/** Whether the bytes of a directory file end in padding, so that nothing follows. */
function endsInPadding(bytes: Uint8Array): boolean {
  const tail = bytes.subarray(-PADDING_THAT_ENDS);
  const [fill] = tail;
  if (tail.length < PADDING_THAT_ENDS || (fill !== 0x00 && fill !== 0xff)) return false;
  if (tail.some((octet) => octet !== fill)) return false;
  const { elements, broken } = readElements(bytes, "directory");
  const last = elements.at(-1);
  return broken.length === 0 && (last ? last.offset + last.length : 0) <= bytes.length - PADDING_THAT_ENDS;
}

/** The source of a directory's bytes. */
interface Source {
  /** Their file; undefined if they are in the ODF. */
  readonly file: FilePath | undefined;
  /** Forgets them if they do not parse. */
  readonly source: FilePath;
  readonly note: Note;
}

function items(kind: DirectoryKind, bytes: Uint8Array, where: string, { file, source, note }: Source): DirectoryItem[] {
  return elements(bytes, where, source, note).flatMap(({ der, at }) =>
    attempt(() => ({ kind, entry: readEntry(kind, der), der, file }), at, source, note),
  );
}

/** The elements of a file; malformed ones are skipped and reported as findings. */
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
