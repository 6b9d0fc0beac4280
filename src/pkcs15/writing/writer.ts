import type { CallOptions } from "../../async/index.ts";
import { CardError, SW } from "../../apdu/index.ts";
import { parseCertificate } from "../../asn1/index.ts";
import { DataError, equalBytes, utf8 } from "../../bytes/index.ts";
import {
  callSignal,
  type CardObject,
  type CardObjectChanges,
  type KeyPairRequest,
  LoginRequiredError,
  type NewCardObject,
  ObjectGoneError,
  UnsupportedError,
} from "../../card/index.ts";
import type { Pkcs15Application } from "../application.ts";
import type { CardSession } from "../files/card-session.ts";
import { updateBinary } from "../files/commands.ts";
import { type FilePath, ownFile, resolve } from "../files/paths.ts";
import { readPrivateKeyInfo } from "../keys/private-key-info.ts";
import type { CardContents, DirectoryItem } from "../objects/contents.ts";
import { enterForPin, readPinStatus } from "../pins/pins.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import type { DirectoryKind } from "../syntax/directory.ts";
import { certificateEntry, changedEntry, dataEntry } from "../syntax/new-entry.ts";
import type { FileReference } from "../syntax/path.ts";
import type { TokenInfo } from "../syntax/token-info.ts";
import { FileAllocation, NAMES_UNREAD, NamesWanted, STANDARD_FILES, type TakenNames } from "./allocation.ts";
import { DirectoryWriter } from "./directory-writer.ts";
import { KeyWriter } from "./key-writer.ts";
import { writeTokenLabel } from "./token-label.ts";
import type { TokenWriter } from "./token-writer.ts";
import { ValueStore } from "./value-store.ts";

/** A GeneralizedTime of 15 characters, in TokenInfo after the tag of lastUpdate, [5] (ISO/IEC 7816-15 section 8.10). */
const TIME = [0x18, 0x0f] as const;
const IN_TOKEN_INFO = [0xa5, 0x11, ...TIME] as const;
const TIME_LENGTH = 15;
const SECOND = 1000;

/** The file with the time of the last update: TokenInfo, or the one that it names; undefined if the card has none. */
function lastUpdatePlace(contents: CardContents, info: TokenInfo | undefined): FilePath | undefined {
  if (!info?.lastUpdate) return undefined;
  if ("time" in info.lastUpdate) return contents.tokenInfoPlace;
  const { file } = info.lastUpdate;
  return file.path.length > 1 ? resolve(contents.session.applicationDf, file) : undefined;
}

/** The file with the time of the last update, as it is on the card now; undefined if the card has none. */
export async function readLastUpdate(contents: CardContents): Promise<Uint8Array | undefined> {
  const place = lastUpdatePlace(contents, await contents.tokenInfo());
  return place && (await contents.session.read((turn) => contents.files.readAnew(turn, place))).bytes;
}

/** Writes lastUpdate, always later than the old one. Does nothing if the card has none, or nothing may write it. */
async function touchLastUpdate(turn: CardSession, contents: CardContents, info: TokenInfo | undefined): Promise<void> {
  const place = lastUpdatePlace(contents, info);
  if (!info?.lastUpdate || !place) return;
  const found = await unlessRefused(contents.files.during(turn, place));
  if (!found) return;
  const head = "time" in info.lastUpdate ? IN_TOKEN_INFO : TIME;
  const at = found.bytes.findIndex((_, index) => head.every((octet, offset) => found.bytes[index + offset] === octet));
  if (at < 0 || at + head.length + TIME_LENGTH > found.bytes.length) return;
  const offset = at + head.length;
  const old = String.fromCharCode(...found.bytes.subarray(offset, offset + TIME_LENGTH));
  const now = generalizedTime(new Date());
  const time = now > old ? now : generalizedTime(new Date(momentOf(old) + SECOND));
  await turn.select(place);
  const bytes = utf8(time);
  const { sw } = await turn.send(updateBinary(offset, bytes));
  if (sw === SW.OK) await contents.files.wrote(place, offset, bytes);
  else contents.report("TokenInfo", "the time of the last update cannot be written");
}

async function unlessRefused<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof CardError) return undefined;
    throw error;
  }
}

/** YYYYMMDDHHMMSSZ, UTC. */
function generalizedTime(time: Date): string {
  return `${time.toISOString().replaceAll(/[-:T]|\..*/gu, "")}Z`;
}

function momentOf(text: string): number {
  const [, year = "", month = "", day = "", hour = "", minute = "", second = ""] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/u.exec(text) ?? [];
  const moment = Date.UTC(+year, +month - 1, +day, +hour, +minute, +second);
  return Number.isNaN(moment) ? Date.now() : moment;
}

const DIRECTORY_OF = {
  certificate: "certificates",
  data: "data",
  "public-key": "public-keys",
  "private-key": "private-keys",
} as const satisfies Record<CardObject["class"], DirectoryKind>;

/** What a change needs before it begins. */
interface Change {
  /** Of the token. */
  readonly pin: PinEntry | undefined;
  /** The directory that it is about, if it hardly ever makes a file. Left out: all are read, for the names of new files. */
  readonly kind?: DirectoryKind | "none";
  readonly prepare?: () => Promise<void>;
}

type ChangeWork<T> = (turn: CardSession, taken: TakenNames) => Promise<T>;

/** The largest value for a new file: the limit of UPDATE BINARY's offsets. */
const MAX_VALUE = 0x7fff;

/**
 * Writes objects of one application. Every method leaves the card consistent after each exchange: a value is written
 * before its entry, and an entry deleted before its value.
 */
export class ObjectWriter implements TokenWriter {
  readonly #application: Pkcs15Application;
  readonly #allocation: FileAllocation;
  readonly #directories: DirectoryWriter;
  readonly #keys: KeyWriter;
  readonly #values: ValueStore;

  constructor(application: Pkcs15Application) {
    const { contents, dialect } = application;
    this.#application = application;
    this.#allocation = new FileAllocation(contents.session.applicationDf, dialect.files ?? STANDARD_FILES);
    this.#directories = new DirectoryWriter(contents, this.#allocation);
    this.#values = new ValueStore(application, this.#allocation, this.#directories);
    this.#keys = new KeyWriter(contents, this.#directories, this.#allocation);
  }

  /** @param pin The PIN of the new object's token. @returns Whether an entry is that of the new object. */
  async create(
    object: NewCardObject,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<(item: DirectoryItem) => boolean> {
    if (object.class === "private-key") {
      const id = await this.#import(object, pin, options);
      return ({ entry }) => entry.class === "private-key" && equalBytes(entry.key.id, id);
    }
    const entry = await this.#store(object, pin, options);
    return ({ der }) => equalBytes(der, entry);
  }

  async #store(
    object: Exclude<NewCardObject, { readonly class: "private-key" }>,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    if (object.class === "public-key")
      throw new UnsupportedError("this card creates public keys with their private keys");
    const kind = DIRECTORY_OF[object.class];
    const { value } = object;
    if (value.length > MAX_VALUE) throw new UnsupportedError(`${value.length} bytes, ${MAX_VALUE} at most in a file`);
    return this.#change({ pin, prepare: () => this.#values.prepare() }, options, async (turn, taken) => {
      const file = await this.#values.store(turn, kind, object, pin, taken);
      const entry = newEntry(object, file, object.private ? pin?.authId : undefined);
      await this.#directories.add(turn, kind, entry, taken);
      return entry;
    });
  }

  /** @returns The present entry. */
  async setAttributes(
    found: DirectoryItem,
    { label, id, value }: CardObjectChanges,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    requirePlace(found);
    return this.#change({ pin, kind: found.kind }, options, async (turn, taken) => {
      const item = await this.#current(found);
      const place = requirePlace(item);
      const file = value && (await this.#values.replace(turn, item, value, taken));
      const changes = { ...(label !== undefined && { label }), ...(id && { id }), ...(file && { file }) };
      const entry = changedEntry(item.der, changes);
      await this.#directories.change(turn, item.kind, place, item.der, entry, taken);
      this.#application.objects.changed(item, entry);
      if (value) await this.#values.release(turn, item);
      return entry;
    });
  }

  /** @param pin Whose token it is asked for; the label is the card application's. */
  setLabel(label: string, pin: PinEntry | undefined, options?: CallOptions): Promise<void> {
    const { contents } = this.#application;
    return this.#change({ pin, kind: "none" }, options, (turn) => writeTokenLabel(turn, contents, label));
  }

  async destroy(found: DirectoryItem, pin: PinEntry | undefined, options?: CallOptions): Promise<void> {
    const keyFile = found.entry.class === "private-key" ? this.#keyFile(found) : undefined;
    requirePlace(found);
    await this.#change({ pin, kind: found.kind }, options, async (turn, taken) => {
      const item = await this.#current(found);
      const place = requirePlace(item);
      if (keyFile) await this.#requireDeletable(turn, keyFile, pin);
      await this.#directories.change(turn, item.kind, place, item.der, undefined, taken);
      this.#application.objects.changed(item);
      if (keyFile) return this.#allocation.remove(turn, keyFile);
      await this.#values.release(turn, item);
    });
  }

  /** The file of a private key, which is deleted with it, also if another program created it. */
  #keyFile(item: DirectoryItem): FilePath {
    const place = this.#application.dialect.keys?.deletable && this.#valuePlace(item);
    if (!place) throw new UnsupportedError("keys cannot be deleted from this card");
    return place;
  }

  async #requireDeletable(turn: CardSession, keyFile: FilePath, pin: PinEntry | undefined): Promise<void> {
    const control = await turn.select(keyFile);
    if (this.#application.dialect.keys?.deletable?.(control, pin?.reference)) return;
    throw new UnsupportedError("the access rules of this key do not allow its deletion");
  }

  /** @returns The CKA_ID of the pair. */
  async generate(request: KeyPairRequest, pin: PinEntry | undefined, options?: CallOptions): Promise<Uint8Array> {
    const { dialect } = this.#application;
    if (!dialect.keys) throw new UnsupportedError("key generation on this card is not supported");
    const { type } = request;
    if (type.type !== "rsa" && type.type !== "ec")
      throw new UnsupportedError(`the card cannot generate keys on ${type.curve}`);
    const making = dialect.keys.generation(type);
    const { usage = { sign: true, decrypt: type.type === "rsa", derive: false } } = request;
    const wanted = { ...request, label: request.label ?? "", usage, made: true };
    return this.#change({ pin }, options, (turn, taken) => this.#keys.write(turn, making, wanted, pin, taken));
  }

  async #import(
    object: Extract<NewCardObject, { readonly class: "private-key" }>,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<Uint8Array> {
    const { dialect } = this.#application;
    if (!dialect.keys) throw new UnsupportedError("key import to this card is not supported");
    const making = dialect.keys.importation(readPrivateKeyInfo(object.privateKey));
    return this.#change({ pin }, options, (turn, taken) =>
      this.#keys.write(turn, making, { ...object, made: false }, pin, taken),
    );
  }

  /** One change, from its login to the last exchange, with the card to itself. */
  async #change<T>(of: Change, options: CallOptions | undefined, work: ChangeWork<T>): Promise<T> {
    return this.#application.inTurn(() => this.#changeNow(of, options, work), callSignal(options));
  }

  async #changeNow<T>(of: Change, options: CallOptions | undefined, work: ChangeWork<T>): Promise<T> {
    const { contents, session } = this.#application;
    const info = await contents.tokenInfo();
    if (info?.readOnly) throw new UnsupportedError("the card says that nothing on it is changed");
    // Another program may have written since the directories were read, and must not until the change is made: a file of its that they
    // do not name would count as left over.
    const hold = await session.card.hold(options);
    const { kind } = of;
    const kinds = kind === undefined ? undefined : kind === "none" ? [] : [kind];
    try {
      this.#forget(kinds);
      const result = await this.#afterReading(of, (taken, isFirst) =>
        session.run(async (turn) => {
          const { pin } = of;
          if (pin && !this.#application.isVerified(pin)) {
            throw new LoginRequiredError("the card needs the PIN for changes");
          }
          try {
            // First, so that no stored copy of the card's files outlives the change.
            if (isFirst) await touchLastUpdate(turn, contents, info);
            return await work(turn, taken);
          } catch (error) {
            throw await this.#refusal(turn, pin, error);
          }
          // Without the caller's signal: a change that has begun is completed, also when its caller has left.
        }),
      );
      // What was written is known; the objects are made anew from it.
      contents.forgetObjects(kinds);
      this.#application.objects.forget();
      return result;
    } catch (error) {
      this.#forget();
      throw error;
    } finally {
      await hold[Symbol.asyncDispose]();
    }
  }

  /** Reads what the change needs of the directories, and all of them only if it makes a file. */
  async #afterReading<T>(of: Change, run: (taken: TakenNames, isFirst: boolean) => Promise<T>): Promise<T> {
    const { contents } = this.#application;
    if (of.kind === undefined) {
      const taken = await this.#directories.taken();
      await of.prepare?.();
      return run(taken, true);
    }
    if (of.kind !== "none") await contents.directory(of.kind);
    try {
      return await run(NAMES_UNREAD, true);
    } catch (error) {
      if (!(error instanceof NamesWanted)) throw error;
      contents.forgetObjects();
      return run(await this.#directories.taken(), false);
    }
  }

  /** If this PIN is verified and the card refuses, it needs another one: a new login would not help. */
  async #refusal(turn: CardSession, pin: PinEntry | undefined, error: unknown): Promise<unknown> {
    if (!(error instanceof LoginRequiredError) || !pin) return error;
    await enterForPin(this.#application.session, turn, pin);
    if (!(await readPinStatus(turn, pin)).verified) return error;
    return new UnsupportedError("the card needs another PIN than this token's for this change", {
      cause: error,
    });
  }

  /** @param kinds The directories that are read again. Default: all of objects. */
  #forget(kinds?: readonly DirectoryKind[]): void {
    const { contents, objects } = this.#application;
    contents.forgetObjects(kinds);
    contents.files.forgetAll();
    objects.forget();
  }

  /** The entry's present place: another write may have moved its directory. */
  async #current({ kind, der }: DirectoryItem): Promise<DirectoryItem> {
    const item = (await this.#application.contents.directory(kind)).find((one) => equalBytes(one.der, der));
    if (!item) throw new ObjectGoneError("the object is not on the card any more");
    return item;
  }

  #valuePlace({ entry }: DirectoryItem): FilePath | undefined {
    return ownFile(this.#application.session.applicationDf, entry);
  }
}

function requirePlace({ file, entry }: DirectoryItem): FilePath {
  if (!entry.head.modifiable) throw new UnsupportedError("the card does not allow changes of this object");
  if (!file) throw new UnsupportedError("the object is in the ODF itself: it cannot be changed");
  return file;
}

function newEntry(
  object: Extract<NewCardObject, { readonly class: "certificate" | "data" }>,
  file: FileReference,
  authId: Uint8Array | undefined,
): Uint8Array {
  const head = { label: object.label, private: object.private, ...(authId && { authId }), file };
  if (object.class === "certificate") {
    return certificateEntry({ ...head, id: object.id, authority: isAuthority(object.value) });
  }
  const { application, objectId } = object;
  return dataEntry({ ...head, application, ...(objectId !== undefined && { objectId }) });
}

function isAuthority(certificate: Uint8Array): boolean {
  try {
    return parseCertificate(certificate).authority;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
