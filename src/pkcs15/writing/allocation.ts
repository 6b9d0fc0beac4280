import { encodeTlv, StatusError, SW } from "../../apdu/index.ts";
import { concat, toHex } from "../../bytes/index.ts";
import { LoginRequiredError, UnsupportedError } from "../../card/index.ts";
import { createFile, deleteFile, type FileControl, updateBinary } from "../files/commands.ts";
import { childOf, type FilePath, parentOf, pathName } from "../files/paths.ts";
import type { CardSession } from "../files/card-session.ts";

/**
 * Identifiers that this driver gives to new files, and that no layout in use has. What has one of them and is in no directory is
 * left over from a write that was broken off, and nobody else's.
 */
const FIRST_ID = 0x6c00;
const LAST_ID = 0x6cff;
/** What one UPDATE BINARY writes on every card: cards write it whole or not at all. */
const MAX_UPDATE = 255;

/** How cards of a make have files made and taken away. */
export interface FileWays {
  /** Control parameters of a transparent file of `size` bytes, as the data of CREATE FILE. */
  readonly parameters: (id: Uint8Array, size: number, security: FileControl["security"]) => Uint8Array;
  /** What DELETE FILE takes away: the file whose identifier it carries, or the current one, and then it carries nothing. */
  readonly deletes: "named" | "current";
  /** What CREATE FILE answers where the identifier is given already. */
  readonly exists: number;
}

/** ISO/IEC 7816-9 section 6.1, with the tags of the template and of the size that a card wants. */
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
    return new LoginRequiredError("the card wants the PIN before it is changed", { cause });
  }
  if (sw === SW.INSTRUCTION_NOT_SUPPORTED || sw === SW.FUNCTION_NOT_SUPPORTED || sw === SW.CONDITIONS_NOT_SATISFIED) {
    return new UnsupportedError("the card does not let itself be changed so", { cause });
  }
  return cause;
}

/** Files that this driver makes and takes away. */
export class FileAllocation {
  readonly #df: FilePath;
  readonly #ways: FileWays;
  /** Made here a moment ago: no directory that was read before names them yet. */
  readonly #made = new Set<string>();

  constructor(df: FilePath, ways: FileWays) {
    this.#df = df;
    this.#ways = ways;
  }

  /**
   * Makes a transparent file.
   * @param taken As of {@link create}.
   * @param model Whose access rules the new file takes.
   */
  createLike(turn: CardSession, size: number, taken: ReadonlySet<string>, model: FileControl): Promise<FilePath> {
    return this.create(turn, taken, (id) => this.#ways.parameters(id, size, model.security));
  }

  /**
   * Makes a file with the lowest identifier that no directory names, and makes it the current one. A file that has it all the same
   * is left over from a write that was broken off, and goes first; if another PIN guards it, the next identifier is as good.
   * @param taken Names of the files that are in use ({@link pathName}).
   * @param parameters The control parameters of the file with an identifier.
   */
  async create(
    turn: CardSession,
    taken: ReadonlySet<string>,
    parameters: (id: Uint8Array) => Uint8Array,
  ): Promise<FilePath> {
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

  /** Takes a leftover away. @returns Whether the card let it. */
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

  /** Undefined if the card does not take an identifier. */
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
   * Takes away what this driver made; other files stay, for their maker may want them there. What another PIN guards is left over:
   * nothing names it any more.
   */
  async removeOwn(turn: CardSession, place: FilePath): Promise<void> {
    if (this.isOwn(place)) await this.#clear(turn, place);
  }

  isOwn(place: FilePath): boolean {
    const id = Number.parseInt(toHex(place.path.subarray(-2)), 16);
    return pathName(parentOf(place)) === pathName(this.#df) && id >= FIRST_ID && id <= LAST_ID;
  }
}

/** Writes `bytes` at `offset` of a file, in as many parts as it takes: of a file that nobody reads yet. */
export async function writeAll(turn: CardSession, place: FilePath, bytes: Uint8Array, offset = 0): Promise<void> {
  await turn.select(place);
  for (let at = 0; at < bytes.length; at += MAX_UPDATE) {
    const { sw } = await turn.send(updateBinary(offset + at, bytes.subarray(at, at + MAX_UPDATE)));
    if (sw !== SW.OK) throw writeFailure(`UPDATE BINARY of ${pathName(place)}`, sw);
  }
}

/**
 * Makes a file's contents another, by one UPDATE BINARY: wherever the card is pulled, it has the old ones or the new ones.
 * @param after As long as `before`.
 * @returns Whether one is enough; else nothing is written.
 */
export async function updateAtOnce(
  turn: CardSession,
  place: FilePath,
  before: Uint8Array,
  after: Uint8Array,
): Promise<boolean> {
  const differs = (octet: number, at: number): boolean => octet !== before[at];
  const from = after.findIndex(differs);
  if (from < 0) return true;
  const to = after.findLastIndex(differs) + 1;
  if (to - from > MAX_UPDATE) return false;
  await writeAll(turn, place, after.subarray(from, to), from);
  return true;
}
