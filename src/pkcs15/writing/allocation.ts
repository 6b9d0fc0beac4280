import { encodeTlv, StatusError, SW } from "../../apdu/index.ts";
import { concat, toHex } from "../../bytes/index.ts";
import { LoginRequiredError, UnsupportedError } from "../../card/index.ts";
import { createFile, deleteFile, type FileControl, updateBinary } from "../files/commands.ts";
import { childOf, type FilePath, parentOf, pathName } from "../files/paths.ts";
import type { CardSession } from "../files/card-session.ts";
import type { CardFiles } from "../files/files.ts";

/**
 * Identifiers that this driver gives to new files; no layout in use has them. A file with one of them that is in no
 * directory is left over from an interrupted write of this driver.
 */
const FIRST_ID = 0x6c00;
const LAST_ID = 0x6cff;
/** Most bytes of one UPDATE BINARY on every card: cards write it whole or not at all. */
const MAX_UPDATE = 255;

/** How cards of a make create and delete files. */
export interface FileWays {
  /** Control parameters of a transparent file of `size` bytes, as the data of CREATE FILE. */
  readonly parameters: (id: Uint8Array, size: number, security: FileControl["security"]) => Uint8Array;
  /** What DELETE FILE deletes: the file with the identifier in its data, or without data the current one. */
  readonly deletes: "named" | "current";
  /** The answer of CREATE FILE for an identifier in use. */
  readonly exists: number;
}

/** ISO/IEC 7816-9 section 6.1, with the make's tags of the template and of the size. */
export function fileWays(template: number, sizeTag: number, exists: number = SW.FILE_EXISTS): FileWays {
  return {
    parameters: (id, size, security) =>
      encodeTlv(
        template,
        encodeTlv(sizeTag, Uint8Array.of(size >> 8, size & 0xff)),
        encodeTlv(0x82, Uint8Array.of(0x01)),
        encodeTlv(0x83, id),
        concat(...security.map(({ tag, value }) => encodeTlv(tag, value))),
      ),
    deletes: "named",
    exists,
  };
}

export const STANDARD_FILES = fileWays(0x62, 0x80);

/** Refusals of CREATE, UPDATE and DELETE that a login may change. */
export function writeFailure(action: string, sw: number): Error {
  const cause = new StatusError(action, sw);
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED) {
    return new LoginRequiredError("the card needs the PIN for changes", { cause });
  }
  if (sw === SW.INSTRUCTION_NOT_SUPPORTED || sw === SW.FUNCTION_NOT_SUPPORTED || sw === SW.CONDITIONS_NOT_SATISFIED) {
    return new UnsupportedError("the card does not allow this change", { cause });
  }
  return cause;
}

/** The names of the files in use ({@link pathName}). */
export type TakenNames = Pick<ReadonlySet<string>, "has">;

/** Thrown before anything is written: a new file is needed, and the names of the others are not known. */
export class NamesWanted extends Error {}

/** For a change that hardly ever makes a file: the directories that it does not need are read when it does. */
export const NAMES_UNREAD: TakenNames = {
  has: () => {
    throw new NamesWanted();
  },
};

/** Files that this driver creates and deletes. */
export class FileAllocation {
  readonly #df: FilePath;
  readonly #ways: FileWays;
  /** Just created here: no directory that was read before names them yet. */
  readonly #made = new Set<string>();

  constructor(df: FilePath, ways: FileWays) {
    this.#df = df;
    this.#ways = ways;
  }

  /**
   * Creates a transparent file.
   * @param taken As for {@link create}.
   * @param model The file whose access rules the new one gets.
   */
  createLike(turn: CardSession, size: number, taken: TakenNames, model: FileControl): Promise<FilePath> {
    return this.create(turn, taken, (id) => this.#ways.parameters(id, size, model.security));
  }

  /**
   * Creates a file with the lowest identifier that no directory names, and makes it the current one. An existing file
   * with it is left over from an interrupted write, and is deleted first; if another PIN protects it, the next
   * identifier is used.
   * @param parameters The control parameters of the file with an identifier.
   */
  async create(turn: CardSession, taken: TakenNames, parameters: (id: Uint8Array) => Uint8Array): Promise<FilePath> {
    for (let id = FIRST_ID; id <= LAST_ID; id++) {
      const bytes = Uint8Array.of(id >> 8, id & 0xff);
      const place = childOf(this.#df, bytes);
      if (taken.has(pathName(place)) || this.#made.has(pathName(place))) continue;
      const fcp = parameters(bytes);
      await turn.enter(this.#df);
      let { sw } = await turn.send(createFile(fcp));
      if (sw === this.#ways.exists) {
        if (!(await this.#clear(turn, place))) continue;
        await turn.enter(this.#df);
        ({ sw } = await turn.send(createFile(fcp)));
      }
      if (sw !== SW.OK) throw writeFailure(`CREATE FILE ${pathName(place)}`, sw);
      return this.#created(turn, place);
    }
    throw new UnsupportedError("no identifier is left for another file on this card");
  }

  /** Deletes a leftover. @returns Whether the card allowed it. */
  async #clear(turn: CardSession, place: FilePath): Promise<boolean> {
    try {
      await this.remove(turn, place);
      return true;
    } catch (error) {
      if (error instanceof LoginRequiredError) return false;
      throw error;
    }
  }

  #created(turn: CardSession, place: FilePath): FilePath {
    this.#made.add(pathName(place));
    return turn.changed(place);
  }

  async remove(turn: CardSession, place: FilePath): Promise<void> {
    const sw = this.#ways.deletes === "named" ? await this.#removeNamed(turn, place) : undefined;
    const outcome = sw ?? (await this.#removeCurrent(turn, place));
    turn.changed(place);
    this.#made.delete(pathName(place));
    if (outcome !== SW.OK) throw writeFailure(`DELETE FILE ${pathName(place)}`, outcome);
  }

  /** Undefined if the card does not accept an identifier. */
  async #removeNamed(turn: CardSession, place: FilePath): Promise<number | undefined> {
    await turn.enter(parentOf(place));
    const { sw } = await turn.send(deleteFile(place.path.subarray(-2)));
    return sw === SW.WRONG_LENGTH || sw === SW.INCORRECT_P1_P2 || sw === SW.WRONG_DATA ? undefined : sw;
  }

  async #removeCurrent(turn: CardSession, place: FilePath): Promise<number> {
    await turn.select(place);
    return (await turn.send(deleteFile(new Uint8Array()))).sw;
  }

  /**
   * Deletes a file that this driver created; other files stay, because their maker may need them. A file that another
   * PIN protects is left over: nothing names it any more.
   */
  async removeOwn(turn: CardSession, place: FilePath): Promise<void> {
    if (this.isOwn(place)) await this.#clear(turn, place);
  }

  isOwn(place: FilePath): boolean {
    const id = Number.parseInt(toHex(place.path.subarray(-2)), 16);
    return pathName(parentOf(place)) === pathName(this.#df) && id >= FIRST_ID && id <= LAST_ID;
  }
}

/** What is known of the card's files: it learns what is written. */
type KnownFiles = Pick<CardFiles, "wrote" | "created">;

/** Writes `bytes` at `offset` of a file, in as many parts as needed: for a file that nothing refers to yet. */
export async function writeAll(
  turn: CardSession,
  files: KnownFiles,
  place: FilePath,
  bytes: Uint8Array,
  offset = 0,
): Promise<void> {
  await turn.select(place);
  for (let at = 0; at < bytes.length; at += MAX_UPDATE) {
    const part = bytes.subarray(at, at + MAX_UPDATE);
    const { sw } = await turn.send(updateBinary(offset + at, part));
    if (sw !== SW.OK) throw writeFailure(`UPDATE BINARY of ${pathName(place)}`, sw);
    await files.wrote(place, offset + at, part);
  }
}

/** As {@link writeAll}, for a new file, which has room for exactly these bytes. */
export async function fill(turn: CardSession, files: KnownFiles, place: FilePath, bytes: Uint8Array): Promise<void> {
  await writeAll(turn, files, place, bytes);
  files.created(place, bytes);
}

/**
 * Replaces a file's contents by one UPDATE BINARY: if the card is removed, it has the old ones or the new ones.
 * @param before The file from its beginning.
 * @param after As long as `before`.
 * @returns Whether one is enough; else nothing is written.
 */
export async function updateAtOnce(
  turn: CardSession,
  files: KnownFiles,
  place: FilePath,
  before: Uint8Array,
  after: Uint8Array,
): Promise<boolean> {
  const differs = (octet: number, at: number): boolean => octet !== before[at];
  const from = after.findIndex(differs);
  if (from < 0) return true;
  const to = after.findLastIndex(differs) + 1;
  if (to - from > MAX_UPDATE) return false;
  await writeAll(turn, files, place, after.subarray(from, to), from);
  return true;
}
