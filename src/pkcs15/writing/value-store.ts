import { CardError, UnsupportedError } from "../../card/index.ts";
import { fill, type FileAllocation, type TakenNames, writeAll } from "./allocation.ts";
import type { Pkcs15Application } from "../application.ts";
import type { DirectoryItem } from "../objects/contents.ts";
import type { DirectoryWriter } from "./directory-writer.ts";
import type { FileControl } from "../files/commands.ts";
import { type FilePart, type FilePath, isPart, ownFile, resolve } from "../files/paths.ts";
import { FreeSpace } from "./free-space.ts";
import { privateModel } from "./private-rules.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import type { DirectoryEntry, DirectoryKind } from "../syntax/directory.ts";
import type { FileReference } from "../syntax/path.ts";
import type { CardSession } from "../files/card-session.ts";

/** A value to store. */
interface NewValue {
  readonly value: Uint8Array;
  readonly private: boolean;
}

/** Allocates space for values of objects: in a free part of a file, or else in a new file. */
export class ValueStore {
  readonly #application: Pkcs15Application;
  readonly #allocation: FileAllocation;
  readonly #directories: DirectoryWriter;
  readonly #free: FreeSpace;

  constructor(application: Pkcs15Application, allocation: FileAllocation, directories: DirectoryWriter) {
    this.#application = application;
    this.#allocation = allocation;
    this.#directories = directories;
    this.#free = new FreeSpace(application);
  }

  /** Finds out beforehand whether the card lists free parts of files: {@link store} needs it. */
  prepare(): Promise<void> {
    return this.#free.prepare();
  }

  /**
   * Writes a value that no directory names yet.
   * @param kind Of the directory that will.
   */
  async store(
    turn: CardSession,
    kind: DirectoryKind,
    object: NewValue,
    pin: PinEntry | undefined,
    taken: TakenNames,
  ): Promise<FileReference> {
    const part = await this.#inFreeSpace(turn, object, pin);
    if (part) return part;
    const open = (): Promise<FileControl> => this.#directories.model(turn, kind);
    const model = await (object.private ? privateModel(turn, this.#application, open, pin) : open());
    return this.#inNewFile(turn, object.value, model, taken);
  }

  /**
   * Writes a new value for an object; the old one stays until {@link release}.
   * @throws {UnsupportedError} if the old one is not in a file.
   */
  async replace(
    turn: CardSession,
    { entry }: DirectoryItem,
    value: Uint8Array,
    taken: TakenNames,
  ): Promise<FileReference> {
    const old = fileOf(entry);
    if (!old) throw new UnsupportedError("the value is not in a file of its own: it cannot be changed");
    return this.#inNewFile(turn, value, await turn.select(this.#resolve(old)), taken);
  }

  /**
   * Releases a value that nothing refers to: deletes a file of this driver, or adds a part of a file to the free space.
   */
  async release(turn: CardSession, { entry }: DirectoryItem): Promise<void> {
    const own = ownFile(this.#application.session.applicationDf, entry);
    if (own) return this.#allocation.removeOwn(turn, own);
    const file = fileOf(entry);
    if (file && isPart(file)) await this.#free.give(turn, file, entry.head.authId);
  }

  async #inNewFile(
    turn: CardSession,
    value: Uint8Array,
    model: FileControl,
    taken: TakenNames,
  ): Promise<FileReference> {
    const place = await this.#allocation.createLike(turn, value.length, taken, model);
    await fill(turn, this.#application.contents.files, place, value);
    return this.#directories.reference(place);
  }

  /** Undefined if no part of a file is free for it, or the card refuses. */
  async #inFreeSpace(
    turn: CardSession,
    { value, private: hidden }: NewValue,
    pin: PinEntry | undefined,
  ): Promise<FilePart | undefined> {
    const part = await this.#free.take(turn, value.length, hidden, pin);
    if (!part) return undefined;
    try {
      await writeAll(turn, this.#application.contents.files, this.#resolve(part), value, part.index);
      return part;
    } catch (error) {
      if (!(error instanceof CardError)) throw error;
      await this.#free.give(turn, part, pin?.authId);
      return undefined;
    }
  }

  #resolve(file: FileReference): FilePath {
    return resolve(this.#application.session.applicationDf, file);
  }
}

function fileOf(entry: DirectoryEntry): FileReference | undefined {
  return "value" in entry && entry.value?.kind === "file" ? entry.value.file : undefined;
}
