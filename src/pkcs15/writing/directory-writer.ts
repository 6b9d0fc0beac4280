import { SW } from "../../apdu/index.ts";
import { contextTag, encodeDer } from "../../asn1/index.ts";
import { concat, equalBytes, startsWith } from "../../bytes/index.ts";
import { CardError, UnsupportedError } from "../../card/index.ts";
import type { CardSession } from "../files/card-session.ts";
import { appendRecord, type FileControl, updateRecord } from "../files/commands.ts";
import { readRecords } from "../files/files.ts";
import { type FilePath, pathName, resolve } from "../files/paths.ts";
import type { CardContents } from "../objects/contents.ts";
import { DIRECTORY_KINDS, type DirectoryKind, readElements, readOdfEntry } from "../syntax/directory.ts";
import { encodePath, type FileReference } from "../syntax/path.ts";
import { fill, type FileAllocation, type TakenNames, updateAtOnce, writeFailure } from "./allocation.ts";

/**
 * A directory that is a record file with an object in each record. Every change is one exchange, so that the card stays
 * consistent: a record is overwritten, with zeros for a deleted object, or one is added.
 */
class RecordDirectory {
  readonly #turn: CardSession;
  readonly #place: FilePath;
  readonly #control: FileControl;
  readonly #records: readonly Uint8Array[];

  private constructor(turn: CardSession, place: FilePath, control: FileControl, records: readonly Uint8Array[]) {
    this.#turn = turn;
    this.#place = place;
    this.#control = control;
    this.#records = records;
  }

  /** Reads its present contents. */
  static async open(turn: CardSession, place: FilePath): Promise<RecordDirectory> {
    const control = await turn.select(place);
    return new RecordDirectory(turn, place, control, await readRecords(turn, place, control));
  }

  async add(entry: Uint8Array): Promise<void> {
    const free = this.#records.findIndex((record) => isFree(record) && record.length >= entry.length);
    const found = this.#records[free];
    if (found) return this.#write(free + 1, entry, found.length);
    const { recordSize = entry.length } = this.#control;
    const { sw } = await this.#turn.send(appendRecord(padded(this.#fitting(entry), recordSize)));
    if (sw === SW.NOT_ENOUGH_MEMORY) throw new UnsupportedError("the directory has no room for another object");
    if (sw !== SW.OK) throw writeFailure(`APPEND RECORD of ${pathName(this.#place)}`, sw);
  }

  /**
   * Replaces an entry, or deletes it.
   * @param der The entry as it was read.
   */
  async change(der: Uint8Array, replacement: Uint8Array | undefined): Promise<void> {
    const at = this.#records.findIndex((record) => holds(record, der));
    const record = this.#records[at];
    if (!record) throw new CardError("the object is not on the card any more, or shares its record with others");
    await this.#write(at + 1, replacement ? this.#fitting(replacement) : new Uint8Array(), record.length);
  }

  #fitting(entry: Uint8Array): Uint8Array {
    const { recordSize } = this.#control;
    if (recordSize === undefined || entry.length <= recordSize) return entry;
    throw new UnsupportedError(
      `the object takes ${entry.length} bytes of its directory, whose records have ${recordSize}`,
    );
  }

  async #write(number: number, entry: Uint8Array, length: number): Promise<void> {
    const { sw } = await this.#turn.send(updateRecord(number, padded(entry, length)));
    if (sw !== SW.OK) throw writeFailure(`UPDATE RECORD ${number} of ${pathName(this.#place)}`, sw);
  }
}

function isFree(record: Uint8Array): boolean {
  return record.every((octet) => octet === 0x00) || record.every((octet) => octet === 0xff);
}

function holds(record: Uint8Array, der: Uint8Array): boolean {
  const { elements, broken } = readElements(record, "record");
  const [first] = elements;
  return broken.length === 0 && elements.length === 1 && first !== undefined && equalBytes(first.der, der);
}

const padded = (entry: Uint8Array, length: number): Uint8Array =>
  concat(entry, new Uint8Array(Math.max(0, length - entry.length)));

/** For a directory that had no file before. */
const NEW_DIRECTORY_SIZE = 512;
const MASTER_FILE = Uint8Array.of(0x3f, 0x00);

/** The entries of a directory and their positions, unchanged. */
interface OpenDirectory {
  readonly place: FilePath;
  readonly control: FileControl;
  /** The whole file. */
  readonly bytes: Uint8Array;
  readonly entries: readonly Uint8Array[];
  /** The end of the last entry. The bytes after it are unused: zeros, or FF if never written. */
  readonly end: number;
}

/**
 * Changes directory files so that the card stays consistent after every single exchange, whenever it is removed: a
 * change that one UPDATE BINARY can make is made by one; any other is written to a new file, and then the ODF, by one
 * UPDATE BINARY, names that one.
 */
export class DirectoryWriter {
  readonly #contents: CardContents;
  readonly #allocation: FileAllocation;
  readonly #odf: FilePath;

  constructor(contents: CardContents, allocation: FileAllocation) {
    this.#contents = contents;
    this.#allocation = allocation;
    this.#odf = contents.odfPlace;
  }

  /** The names of all files that the card's directories name, and of the directories. */
  async taken(): Promise<ReadonlySet<string>> {
    const names = new Set<string>();
    const add = (file: FileReference): void => {
      if (file.path.length % 2 === 0) names.add(pathName(resolve(this.#contents.session.applicationDf, file)));
    };
    for (const entry of await this.#contents.odf()) if ("file" in entry) add(entry.file);
    for (const kind of DIRECTORY_KINDS) {
      for (const { entry } of await this.#contents.directory(kind)) {
        if ("value" in entry && entry.value?.kind === "file") add(entry.value.file);
        if (entry.class === "pin" && entry.path) add(entry.path);
      }
    }
    return names;
  }

  /** SELECT's answers for the files of a directory: the model of new files beside it. */
  async model(turn: CardSession, kind: DirectoryKind): Promise<FileControl> {
    return this.#control(turn, (await this.#places(kind))[0] ?? (await this.#anyPlace()));
  }

  /** SELECT's answer for a directory, from when it was read. */
  async #control(turn: CardSession, place: FilePath): Promise<FileControl> {
    return (await this.#contents.files.during(turn, place, 0)).control;
  }

  /** Adds an entry. */
  async add(turn: CardSession, kind: DirectoryKind, entry: Uint8Array, taken: TakenNames): Promise<void> {
    const places = await this.#places(kind);
    const place = places.at(-1);
    if (!place) return this.#begin(turn, kind, entry, taken);
    if (await this.#hasRecords(turn, place)) return (await this.#openRecords(turn, place)).add(entry);
    const directory = await this.#open(turn, place);
    await this.#replace(turn, kind, directory, [...directory.entries, entry], taken);
  }

  /**
   * Replaces an entry, or deletes it.
   * @param der The entry as it was read.
   */
  async change(
    turn: CardSession,
    kind: DirectoryKind,
    place: FilePath,
    der: Uint8Array,
    replacement: Uint8Array | undefined,
    taken: TakenNames,
  ): Promise<void> {
    if (await this.#hasRecords(turn, place)) return (await this.#openRecords(turn, place)).change(der, replacement);
    const directory = await this.#open(turn, place);
    const { elements } = readElements(directory.bytes, "directory");
    const at = elements.findIndex((element) => equalBytes(element.der, der));
    if (at < 0) throw new CardError("the object is not on the card any more");
    const entries = replacement
      ? directory.entries.with(at, replacement)
      : directory.entries.filter((_, index) => index !== at);
    await this.#replace(turn, kind, directory, entries, taken);
  }

  async #hasRecords(turn: CardSession, place: FilePath): Promise<boolean> {
    return (await this.#control(turn, place)).structure === "records";
  }

  #openRecords(turn: CardSession, place: FilePath): Promise<RecordDirectory> {
    this.#contents.files.forget(place);
    return RecordDirectory.open(turn, place);
  }

  async #places(kind: DirectoryKind): Promise<readonly FilePath[]> {
    const entries = await this.#contents.odf();
    return entries.flatMap((entry) =>
      entry.kind === kind && "file" in entry ? [resolve(this.#contents.session.applicationDf, entry.file)] : [],
    );
  }

  async #anyPlace(): Promise<FilePath> {
    for (const kind of ["certificates", "private-keys", "public-keys", "data"] as const) {
      const [place] = await this.#places(kind);
      if (place) return place;
    }
    throw new UnsupportedError("the card has no directory whose access rules a new one could take");
  }

  /** Also what follows a gap, where another program may have written: it is not shown, and it is not written over. */
  async #open(turn: CardSession, place: FilePath): Promise<OpenDirectory> {
    const { bytes, control } = await this.#contents.files.during(turn, place);
    if (control.structure === "records") throw new UnsupportedError(`${pathName(place)} is a file of records`);
    const { elements, broken } = readElements(bytes, pathName(place));
    const [wrong] = broken;
    if (wrong) throw new UnsupportedError(`${pathName(place)} is malformed at ${wrong.offset}: it is not written to`);
    const entries = elements.map(({ offset, length }) => bytes.subarray(offset, offset + length));
    const last = elements.at(-1);
    return { place, control, bytes, entries, end: last ? last.offset + last.length : 0 };
  }

  /** Writes the new contents: in one exchange if possible, else to a new file that replaces the old one. */
  async #replace(
    turn: CardSession,
    kind: DirectoryKind,
    directory: OpenDirectory,
    entries: readonly Uint8Array[],
    taken: TakenNames,
  ): Promise<void> {
    const { place, control, bytes } = directory;
    const { files } = this.#contents;
    const wanted = concat(...entries);
    if (
      wanted.length <= bytes.length &&
      (await updateAtOnce(turn, files, place, bytes, withEntries(directory, wanted)))
    )
      return;
    const size = Math.max(bytes.length, Math.ceil((wanted.length * 3) / 2));
    const fresh = await this.#allocation.createLike(turn, size, taken, control);
    await fill(turn, files, fresh, concat(wanted, new Uint8Array(size - wanted.length)));
    await this.#point(turn, kind, place, fresh);
    await this.#allocation.removeOwn(turn, place);
    files.forget(place);
  }

  /**
   * Makes the ODF name another file for a directory. The two paths have one length, so that the ODF's change fits one
   * exchange.
   */
  async #point(turn: CardSession, kind: DirectoryKind, from: FilePath, to: FilePath): Promise<void> {
    const odf = await this.#open(turn, this.#odf);
    const entries = odf.entries.map((raw) => {
      const entry = readOdfEntry(readElements(raw, "ODF").elements[0]?.der ?? raw);
      if (entry.kind !== kind || !("file" in entry)) return raw;
      const { applicationDf } = this.#contents.session;
      return pathName(resolve(applicationDf, entry.file)) === pathName(from)
        ? odfEntry(kind, this.reference(to, entry.file))
        : raw;
    });
    await this.#replaceOdf(turn, odf, entries);
  }

  async #begin(turn: CardSession, kind: DirectoryKind, entry: Uint8Array, taken: TakenNames): Promise<void> {
    const model = await this.#control(turn, await this.#anyPlace());
    const fresh = await this.#allocation.createLike(turn, NEW_DIRECTORY_SIZE, taken, model);
    const bytes = concat(entry, new Uint8Array(Math.max(0, NEW_DIRECTORY_SIZE - entry.length)));
    await fill(turn, this.#contents.files, fresh, bytes);
    const odf = await this.#open(turn, this.#odf);
    await this.#replaceOdf(turn, odf, [...odf.entries, odfEntry(kind, this.reference(fresh))]);
  }

  async #replaceOdf(turn: CardSession, odf: OpenDirectory, entries: readonly Uint8Array[]): Promise<void> {
    const wanted = concat(...entries);
    if (wanted.length > odf.bytes.length) throw new UnsupportedError("the ODF has no room for another directory");
    if (await updateAtOnce(turn, this.#contents.files, odf.place, odf.bytes, withEntries(odf, wanted))) return;
    throw new UnsupportedError("the ODF cannot be changed in one exchange");
  }

  /** A path to a file, in the form of `like`, or of the ODF's. */
  reference(place: FilePath, like?: FileReference): FileReference {
    const absolute = like ? startsWith(like.path, MASTER_FILE) : place.from === "master-file";
    if (absolute && place.from === "master-file") return { path: concat(MASTER_FILE, place.path) };
    return { path: place.path.slice(-2) };
  }
}

function odfEntry(kind: DirectoryKind, file: FileReference): Uint8Array {
  return encodeDer(contextTag(DIRECTORY_KINDS.indexOf(kind), "constructed"), encodePath(file));
}

/** The file with other entries. Its unused space stays unchanged, so that as few bytes as possible are written. */
function withEntries({ bytes, end }: OpenDirectory, wanted: Uint8Array): Uint8Array {
  const image = bytes.slice();
  image.set(wanted);
  if (wanted.length < end) image.fill(bytes[end] === 0xff ? 0xff : 0x00, wanted.length, end);
  return image;
}
