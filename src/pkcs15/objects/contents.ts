import { CardError, MalformedAnswerError, StatusError, SW } from "../../apdu/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import type { Catalogue } from "./catalogue.ts";
import type { CardFiles } from "../files/files.ts";
import type { Findings } from "./findings.ts";
import { childOf, type FilePlace, parentOf, placeName, resolve } from "../files/place.ts";
import { readReference, type ValueOptions } from "../files/reference.ts";
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
  readonly file: FilePlace | undefined;
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
  readonly #directories = new Map<DirectoryKind, Promise<readonly DirectoryItem[]>>();
  /** Kinds of which the card kept a directory to itself: it wants a PIN before. */
  readonly #refused = new Set<DirectoryKind>();
  #odf: Promise<readonly OdfEntry[]> | undefined;
  #tokenInfo: Promise<TokenInfo | undefined> | undefined;

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
  static odfPlace(df: FilePlace, template?: ApplicationTemplate): FilePlace {
    return template?.odf ? resolve(df, template.odf) : childOf(df, FILE_ID.ODF);
  }

  /** Where this application's ODF is. */
  get odfPlace(): FilePlace {
    return CardContents.odfPlace(this.session.applicationDf, this.#template);
  }

  get tokenInfoPlace(): FilePlace {
    const df = this.session.applicationDf;
    const named = this.#template?.tokenInfo;
    return named ? resolve(df, named) : childOf(df, FILE_ID.TOKEN_INFO);
  }

  get unusedSpacePlace(): FilePlace {
    const df = this.session.applicationDf;
    const named = this.#template?.unusedSpace;
    return named ? resolve(df, named) : childOf(df, FILE_ID.UNUSED_SPACE);
  }

  /** The entries of the ODF. @throws {StatusError} if the card has none: then it has no application. */
  odf(): Promise<readonly OdfEntry[]> {
    return (this.#odf ??= forgetFailure(this.#readOdf(), () => (this.#odf = undefined)));
  }

  async #readOdf(): Promise<readonly OdfEntry[]> {
    const place = this.odfPlace;
    const { bytes } = await this.files.read(place, { enough: endsInPadding });
    const where = `ODF ${placeName(place)}`;
    const entries = this.#elements(bytes, where).flatMap(({ der, at }) => this.#try(at, () => readOdfEntry(der)));
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
    const known = this.#directories.get(kind);
    if (known) return known;
    const reading = forgetFailure(this.#readDirectory(kind), () => this.#directories.delete(kind));
    this.#directories.set(kind, reading);
    return reading;
  }

  async #readDirectory(kind: DirectoryKind): Promise<readonly DirectoryItem[]> {
    const objects = await this.#catalogue?.objects(kind);
    if (objects) return objects.map((object) => ({ kind, ...object, file: undefined }));
    const found: DirectoryItem[] = [];
    const listed = new Map<string, DirectoryKind>();
    for (const entry of await this.odf()) {
      const before = "file" in entry ? this.#list(listed, entry) : undefined;
      if (entry.kind !== kind || before === kind) continue;
      // It was listed before, for objects of another kind.
      if (before !== undefined) this.#findings.add(`ODF, ${kind}`, `the directory is that of ${before}`);
      else if ("protected" in entry) this.#findings.add(`ODF, ${kind}`, "the directory is enveloped for somebody else");
      else if ("objects" in entry) found.push(...this.#items(kind, entry.objects, `ODF, ${kind}`, undefined));
      else found.push(...(await this.#readFile(kind, entry.file)));
    }
    return found;
  }

  /** Takes note of a directory. @returns Of which kind the ODF said before that it is: it has its objects once. */
  #list(
    listed: Map<string, DirectoryKind>,
    { kind, file }: OdfEntry & { readonly file: FileReference },
  ): DirectoryKind | undefined {
    const { path, index = 0 } = file;
    const place = path.length > 1 ? placeName(resolve(this.session.applicationDf, file)) : toHex(path);
    const name = `${place} ${index}`;
    const before = listed.get(name);
    if (before === undefined) listed.set(name, kind);
    return before;
  }

  async #readFile(kind: DirectoryKind, file: FileReference): Promise<readonly DirectoryItem[]> {
    const where = `${kind} ${toHex(file.path)}`;
    try {
      const place = file.path.length === 1 ? undefined : resolve(this.session.applicationDf, file);
      const name = place ? placeName(place) : `short identifier ${toHex(file.path)}`;
      const at = `${kind} ${name}`;
      const options = { enough: endsInPadding, guarded: this.#refused.has(kind) };
      return this.#items(kind, await this.#read(file, at, options), at, place);
    } catch (error) {
      if (!(error instanceof StatusError || error instanceof DataError || error instanceof MalformedAnswerError))
        throw error;
      if (error instanceof StatusError && error.sw === SW.SECURITY_STATUS_NOT_SATISFIED) this.#refused.add(kind);
      this.#findings.add(where, error.message);
      return [];
    }
  }

  /** A PIN was verified: what the card refused before is asked for again. @returns Whether there is any such directory. */
  forgetRefused(): boolean {
    const again = [...this.#refused].filter((kind) => this.#directories.delete(kind));
    return again.length > 0;
  }

  #items(kind: DirectoryKind, bytes: Uint8Array, where: string, file: FilePlace | undefined): DirectoryItem[] {
    return this.#elements(bytes, where).flatMap(({ der, at }) =>
      this.#try(at, () => ({ kind, entry: readEntry(kind, der), der, file })),
    );
  }

  #elements(bytes: Uint8Array, where: string): { readonly der: Uint8Array; readonly at: string }[] {
    const { elements, broken } = readElements(bytes, where);
    for (const { offset, reason } of broken) this.#findings.add(`${where}, at ${offset}`, reason);
    return elements.map(({ der, offset }) => ({ der, at: `${where}, at ${offset}` }));
  }

  #try<T>(where: string, read: () => T): T[] {
    try {
      return [read()];
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      this.#findings.add(where, error.message);
      return [];
    }
  }

  /** Undefined if the card has none, or one that cannot be read. */
  tokenInfo(): Promise<TokenInfo | undefined> {
    return (this.#tokenInfo ??= forgetFailure(this.#readTokenInfo(), () => (this.#tokenInfo = undefined)));
  }

  async #readTokenInfo(): Promise<TokenInfo | undefined> {
    if (this.#catalogue) return this.#catalogue.tokenInfo();
    const place = this.tokenInfoPlace;
    const where = `TokenInfo ${placeName(place)}`;
    try {
      const { bytes } = await this.files.read(place);
      const [first] = this.#elements(bytes, where);
      const info = first && readTokenInfo(first.der);
      if (info?.problem !== undefined) this.#findings.add(where, info.problem);
      return info;
    } catch (error) {
      if (!(error instanceof CardError || error instanceof DataError)) throw error;
      this.#findings.add(where, error.message);
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
      if (error instanceof CardError || error instanceof DataError) this.#findings.add(where, error.message);
      throw error;
    }
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
    this.#odf = undefined;
    this.#tokenInfo = undefined;
  }
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

function forgetFailure<V>(value: Promise<V>, forget: () => void): Promise<V> {
  value.catch(forget);
  return value;
}
