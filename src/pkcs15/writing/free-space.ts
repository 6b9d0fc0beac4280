import { CardError } from "../../apdu/index.ts";
import { derOctetString, DerReader, derSequence } from "../../asn1/index.ts";
import { concat, DataError, equalBytes } from "../../bytes/index.ts";
import type { Pkcs15Application } from "../application.ts";
import type { CardSession } from "../files/card-session.ts";
import { type FilePart, isPart, joined, overlap, pathName, resolve } from "../files/paths.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import { DIRECTORY_KINDS, readElements } from "../syntax/directory.ts";
import { optionalOctets } from "../syntax/fields.ts";
import { encodePath, type FileReference, readPath } from "../syntax/path.ts";
import { updateAtOnce } from "./allocation.ts";
import { isGuardedBy } from "./private-rules.ts";

/** A part of a file that is free for new objects (ISO/IEC 7816-15 section 8.11, UnusedSpace). */
interface UnusedSpace {
  readonly file: FileReference;
  /** The PIN that writing there needs. */
  readonly authId: Uint8Array | undefined;
}

/** @throws {DataError} if `der` is not an entry of EF.UnusedSpace. */
export function readUnusedSpace(der: Uint8Array): UnusedSpace {
  const reader = new DerReader(der, "EF.UnusedSpace").enter();
  return { file: readPath(reader.enter()), authId: optionalOctets(reader) };
}

export function unusedSpaceEntry({ file, authId }: UnusedSpace): Uint8Array {
  return derSequence(encodePath(file), ...(authId ? [derOctetString(authId)] : []));
}

/** An entry and its encoding: unchanged parts stay byte for byte. */
interface ListedSpace extends UnusedSpace {
  readonly der: Uint8Array;
}

/** The objects in the file of a free part. */
interface Neighbours {
  /** A private object of the same PIN, or a public one: the file has the access rules for another. */
  readonly alike: boolean;
  /** Undefined if an object has the file to itself. */
  readonly parts: readonly FilePart[] | undefined;
}

/**
 * The free parts of files in EF.UnusedSpace (ISO/IEC 7816-15 section 8.11). Each change of it is one exchange. A part
 * is removed from the list before anything is written to it, and added after nothing refers to it any more: a card that
 * is removed in between has lost the space, but no object.
 */
export class FreeSpace {
  readonly #application: Pkcs15Application;
  #isAbsent = false;

  constructor(application: Pkcs15Application) {
    this.#application = application;
  }

  /**
   * Reads the list, before the change: a refusal in its midst would leave the current directory unknown. A part is taken beside other
   * objects of its file only, so the list is not needed if each object has a file to itself.
   */
  async prepare(): Promise<void> {
    const { files, unusedSpacePlace } = this.#application.contents;
    this.#isAbsent = !(await this.#hasParts()) || !(await unlessRefused(files.read(unusedSpacePlace)));
  }

  async #hasParts(): Promise<boolean> {
    for (const kind of DIRECTORY_KINDS) {
      for (const { entry } of await this.#application.contents.directory(kind)) {
        if ("value" in entry && entry.value?.kind === "file" && isPart(entry.value.file)) return true;
      }
    }
    return false;
  }

  /**
   * Takes a free part of a file that has objects with the same access rules, and none in the part itself.
   * @param hidden Whether the object is private.
   * @returns Undefined if there is none, or the card refuses.
   */
  async take(
    turn: CardSession,
    size: number,
    hidden: boolean,
    pin: PinEntry | undefined,
  ): Promise<FilePart | undefined> {
    const bytes = await this.#read(turn);
    const all = bytes && listed(bytes);
    if (!all) return undefined;
    for (const space of all) {
      const { file, authId } = space;
      if (!isPart(file) || file.length < size || (authId && !isOf(authId, pin))) continue;
      const part = { ...file, length: size };
      if (!(await this.#isFree(part, hidden, pin))) continue;
      const left = { ...space, file: { ...file, index: file.index + size, length: file.length - size } };
      const rest = all.flatMap((one) =>
        one !== space ? [one.der] : left.file.length > 0 ? [unusedSpaceEntry(left)] : [],
      );
      return (await this.#write(turn, bytes, rest)) ? part : undefined;
    }
    return undefined;
  }

  /** Adds an unused part of a file to the list, if the card has one. */
  async give(turn: CardSession, part: FilePart, authId: Uint8Array | undefined): Promise<void> {
    const bytes = await this.#read(turn);
    const all = bytes && listed(bytes);
    if (!all) return;
    for (const space of all) {
      const whole = isPart(space.file) ? joined(space.file, part) : undefined;
      if (!whole) continue;
      const grown = unusedSpaceEntry({ ...space, file: whole });
      await this.#write(
        turn,
        bytes,
        all.map((one) => (one === space ? grown : one.der)),
      );
      return;
    }
    await this.#write(turn, bytes, [...all.map(({ der }) => der), unusedSpaceEntry({ file: part, authId })]);
  }

  async #isFree(part: FilePart, hidden: boolean, pin: PinEntry | undefined): Promise<boolean> {
    if (part.path.length < 2) return false;
    const { alike, parts } = await this.#neighbours(part, hidden, pin);
    return alike && parts?.every((other) => !overlap(part, other)) === true;
  }

  async #neighbours(part: FilePart, hidden: boolean, pin: PinEntry | undefined): Promise<Neighbours> {
    const { contents, pins } = this.#application;
    const name = this.#nameOf(part);
    let parts: FilePart[] | undefined = [];
    let alike = false;
    for (const kind of DIRECTORY_KINDS) {
      for (const { entry } of await contents.directory(kind)) {
        const file = "value" in entry && entry.value?.kind === "file" ? entry.value.file : undefined;
        if (!file || file.path.length === 1 || this.#nameOf(file) !== name) continue;
        if (isPart(file)) parts?.push(file);
        else parts = undefined;
        const { head } = entry;
        alike ||= head.private === hidden && (!hidden || isGuardedBy(head.authId, pin, pins.users.length));
      }
    }
    return { alike, parts };
  }

  #nameOf(file: FileReference): string {
    return pathName(resolve(this.#application.session.applicationDf, file));
  }

  /** Undefined for most cards, which have none. */
  async #read(turn: CardSession): Promise<Uint8Array | undefined> {
    if (this.#isAbsent) return undefined;
    const { files, unusedSpacePlace } = this.#application.contents;
    const { bytes, control } = (await unlessRefused(files.during(turn, unusedSpacePlace))) ?? {};
    return control?.structure === "records" ? undefined : bytes;
  }

  async #write(turn: CardSession, before: Uint8Array, entries: readonly Uint8Array[]): Promise<boolean> {
    const wanted = concat(...entries);
    if (wanted.length > before.length) return false;
    const after = concat(wanted, new Uint8Array(before.length - wanted.length));
    const { files, unusedSpacePlace } = this.#application.contents;
    return (await unlessRefused(updateAtOnce(turn, files, unusedSpacePlace, before, after))) ?? false;
  }
}

/** Undefined if an entry does not parse, because a write might overwrite something. */
function listed(bytes: Uint8Array): readonly ListedSpace[] | undefined {
  const { elements, broken } = readElements(bytes, "EF.UnusedSpace");
  if (broken.length > 0) return undefined;
  try {
    return elements.map(({ der }) => ({ ...readUnusedSpace(der), der }));
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

const isOf = (authId: Uint8Array, pin: PinEntry | undefined): boolean =>
  pin?.authId !== undefined && equalBytes(pin.authId, authId);

async function unlessRefused<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
}
