import { derSequence, derUnsigned, parseCertificate } from "../asn1/index.ts";
import { DataError, equalBytes } from "../bytes/index.ts";
import {
  type CardObject,
  type CardObjectChanges,
  type KeyPairRequest,
  type KeyUsage,
  LoginRequiredError,
  type NewCardObject,
  UnsupportedError,
} from "../card/index.ts";
import { curveInfo, keyTypeOf, parsePublicKey } from "../crypto/index.ts";
import { FileAllocation, STANDARD_TEMPLATE, writeAll } from "./allocation.ts";
import type { Pkcs15Application } from "./application.ts";
import type { DirectoryItem } from "./contents.ts";
import { DirectoryWriter } from "./directory-writer.ts";
import { touchLastUpdate } from "./last-update.ts";
import { type FilePlace, placeName, resolve } from "./place.ts";
import type { CardTurn } from "./turn.ts";
import type { PinEntry } from "./syntax/authentication.ts";
import type { DirectoryKind } from "./syntax/directory.ts";
import { certificateEntry, changedEntry, dataEntry, privateKeyEntry, publicKeyEntry } from "./syntax/new-entry.ts";
import type { FileReference } from "./syntax/path.ts";

const DIRECTORY_OF = {
  certificate: "certificates",
  data: "data",
  "public-key": "public-keys",
  "private-key": "private-keys",
} as const satisfies Record<CardObject["class"], DirectoryKind>;

/** Numbers that cards have for keys. */
const KEY_NUMBERS = { first: 0, last: 15 } as const;
/** CKA_ID of the key with number 0, where the caller names none. */
const FIRST_KEY_ID = 0x50;
/** The largest value that a file for it is made for: what offsets of UPDATE BINARY reach. */
const MAX_VALUE = 0x7fff;

/**
 * Writes objects of one application. Every method leaves the card whole after each exchange: a value is written before its entry
 * is, and an entry is gone before its value.
 */
export class ObjectWriter {
  readonly #application: Pkcs15Application;
  readonly #allocation: FileAllocation;
  readonly #directories: DirectoryWriter;

  constructor(application: Pkcs15Application) {
    const { contents, dialect } = application;
    this.#application = application;
    this.#allocation = new FileAllocation(contents.session.applicationDf, dialect.fileTemplate ?? STANDARD_TEMPLATE);
    this.#directories = new DirectoryWriter(contents, this.#allocation);
  }

  /** @param pin Whose token the object is to be of. @returns The entry of the new object. */
  async create(object: NewCardObject, pin: PinEntry | undefined, signal?: AbortSignal): Promise<Uint8Array> {
    if (object.class === "private-key")
      throw new UnsupportedError("this card makes its keys itself: none is brought to it");
    if (object.class === "public-key")
      throw new UnsupportedError("public keys come with their private keys on this card");
    const kind = DIRECTORY_OF[object.class];
    const { value } = object;
    if (value.length > MAX_VALUE) throw new UnsupportedError(`${value.length} bytes, ${MAX_VALUE} at most in a file`);
    return this.#change(pin, signal, async (turn, taken) => {
      const model = object.private ? await this.#privateModel(turn) : await this.#directories.model(turn, kind);
      const place = await this.#allocation.create(turn, value.length, taken, model);
      await writeAll(turn, place, value);
      const entry = newEntry(object, this.#directories.reference(place), object.private ? pin?.authId : undefined);
      await this.#directories.add(turn, kind, entry, new Set([...taken, placeName(place)]));
      return entry;
    });
  }

  /** @returns The entry as it is now. */
  async setAttributes(
    item: DirectoryItem,
    { label, id, value }: CardObjectChanges,
    pin: PinEntry | undefined,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const place = requirePlace(item);
    return this.#change(pin, signal, async (turn, taken) => {
      const old = value && this.#valuePlace(item);
      let file: FileReference | undefined;
      let inUse = taken;
      if (value && old) {
        const model = await turn.select(old);
        const fresh = await this.#allocation.create(turn, value.length, taken, model);
        await writeAll(turn, fresh, value);
        file = this.#directories.reference(fresh);
        inUse = new Set([...taken, placeName(fresh)]);
      }
      const changes = { ...(label !== undefined && { label }), ...(id && { id }), ...(file && { file }) };
      const entry = changedEntry(item.der, changes);
      await this.#directories.change(turn, item.kind, place, item.der, entry, inUse);
      if (old) await this.#allocation.removeOwn(turn, old);
      return entry;
    });
  }

  async destroy(item: DirectoryItem, pin: PinEntry | undefined, signal?: AbortSignal): Promise<void> {
    if (item.entry.class === "private-key") throw new UnsupportedError("keys are not taken off this card");
    const place = requirePlace(item);
    await this.#change(pin, signal, async (turn, taken) => {
      await this.#directories.change(turn, item.kind, place, item.der, undefined, taken);
      const value = this.#valuePlace(item);
      if (value) await this.#allocation.removeOwn(turn, value);
    });
  }

  /** @returns The CKA_ID of the pair. */
  async generate(request: KeyPairRequest, pin: PinEntry | undefined, signal?: AbortSignal): Promise<Uint8Array> {
    const { dialect } = this.#application;
    if (!dialect.generation) throw new UnsupportedError("how this card makes keys is not known");
    const commands = dialect.generation(request.type);
    return this.#change(pin, signal, async (turn, taken) => {
      const reference = await this.#freeKeyNumber();
      const id = request.id && request.id.length > 0 ? request.id : Uint8Array.of(FIRST_KEY_ID + reference);
      await this.#requireFreeId(id);
      await turn.enter(this.#application.session.applicationDf);
      const spki = await commands.run(turn, reference);
      turn.hold(undefined);
      const stored = storedKey(spki);
      const model = await this.#directories.model(turn, "public-keys");
      const place = await this.#allocation.create(turn, stored.length, taken, model);
      await writeAll(turn, place, stored);
      const type = keyTypeOf(spki);
      const usage: KeyUsage = request.usage ?? { sign: true, decrypt: type.type === "rsa", derive: false };
      const key = {
        label: request.label ?? "",
        id,
        usage,
        type: type.type,
        bits: type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits,
        keyReference: reference,
      } as const;
      const inUse = new Set([...taken, placeName(place)]);
      // Its public half alone does no harm; a private key without one cannot be used.
      const publicEntry = publicKeyEntry({ ...key, private: false, file: this.#directories.reference(place) });
      await this.#directories.add(turn, "public-keys", publicEntry, inUse);
      const privateEntry = privateKeyEntry(
        {
          ...key,
          private: true,
          ...(pin?.authId && { authId: pin.authId }),
          userConsent: request.alwaysAuthenticate ?? false,
          file: this.#directories.reference(this.#application.session.applicationDf, {
            path: Uint8Array.of(0x3f, 0x00),
          }),
        },
        true,
      );
      await this.#directories.add(turn, "private-keys", privateEntry, inUse);
      return id;
    });
  }

  /** The lowest number that no key of the card has: one that was made and never listed is made anew. */
  async #freeKeyNumber(): Promise<number> {
    const used = new Set<number | undefined>();
    for (const { entry } of await this.#application.contents.directory("private-keys")) {
      if (entry.class === "private-key") used.add(entry.key.keyReference);
    }
    for (let number: number = KEY_NUMBERS.first; number <= KEY_NUMBERS.last; number++)
      if (!used.has(number)) return number;
    throw new UnsupportedError("the card has no room for another key");
  }

  async #requireFreeId(id: Uint8Array): Promise<void> {
    for (const { entry } of await this.#application.contents.directory("private-keys")) {
      if (entry.class === "private-key" && equalBytes(entry.key.id, id)) {
        throw new UnsupportedError("a key with this CKA_ID is on the card already");
      }
    }
  }

  /** One change, from its login to the last exchange, with the card to itself. */
  async #change<T>(
    pin: PinEntry | undefined,
    signal: AbortSignal | undefined,
    work: (turn: CardTurn, taken: ReadonlySet<string>) => Promise<T>,
  ): Promise<T> {
    const { contents, session, objects } = this.#application;
    const info = await contents.tokenInfo();
    if (info?.readOnly) throw new UnsupportedError("the card says that nothing on it is changed");
    const taken = await this.#directories.taken();
    try {
      return await session.run(async (turn) => {
        if (pin && !this.#application.isVerified(pin)) {
          throw new LoginRequiredError("the card wants the PIN before it is changed");
        }
        // First, so that no copy that somebody keeps of the card outlives what was changed.
        await touchLastUpdate(turn, contents);
        return work(turn, taken);
      }, signal);
    } finally {
      contents.forget();
      contents.files.forgetAll();
      objects.forget();
    }
  }

  #valuePlace({ entry }: DirectoryItem): FilePlace | undefined {
    if (!("value" in entry) || entry.value?.kind !== "file") return undefined;
    const { file } = entry.value;
    // A part of a file that holds others too is not this driver's.
    return file.index === undefined ? resolve(this.#application.session.applicationDf, file) : undefined;
  }

  /** Access rules that keep a file from who has not given the PIN: those of a private file that is there. */
  async #privateModel(turn: CardTurn): Promise<Awaited<ReturnType<CardTurn["select"]>>> {
    for (const kind of ["data", "certificates"] as const) {
      for (const item of await this.#application.contents.directory(kind)) {
        const place = item.entry.head.private ? this.#valuePlace(item) : undefined;
        if (place) return turn.select(place);
      }
    }
    throw new UnsupportedError("the card has no private object whose access rules a new one could take");
  }
}

/** As cards keep public keys: RSA as its two numbers, a curve's point with its curve (OpenSC reads them so). */
function storedKey(spki: Uint8Array): Uint8Array {
  const key = parsePublicKey(spki);
  if (key.type === "ec") return spki;
  return derSequence(derUnsigned(key.modulus), derUnsigned(key.publicExponent));
}

function requirePlace({ file, entry }: DirectoryItem): FilePlace {
  if (!entry.head.modifiable) throw new UnsupportedError("the card says that this object is not changed");
  if (!file) throw new UnsupportedError("the object stands in the ODF itself: it is not changed");
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
