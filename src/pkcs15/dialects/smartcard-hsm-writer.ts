import { derOctetString, DerReader, derSequence, TAG } from "../../asn1/index.ts";
import { MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../../apdu/index.ts";
import type { CallOptions } from "../../async/index.ts";
import { concat, DataError, equalBytes, toHex } from "../../bytes/index.ts";
import {
  callSignal,
  type KeyPairRequest,
  type KeyWrapping,
  type KeyWrappingState,
  LoginRequiredError,
  type NewCardObject,
  UnsupportedError,
} from "../../card/index.ts";
import { curveInfo } from "../../crypto/index.ts";
import type { Pkcs15Application } from "../application.ts";
import type { CardSession } from "../files/card-session.ts";
import { childOf, type FilePath } from "../files/paths.ts";
import type { DirectoryItem } from "../objects/contents.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import { readElements, readEntry } from "../syntax/directory.ts";
import { certificateEntry, dataEntry, privateKeyEntry } from "../syntax/new-entry.ts";
import { writeFailure } from "../writing/allocation.ts";
import type { TokenWriter } from "../writing/token-writer.ts";
import { APPLET, enumerateObjects, FILE_PREFIX, fileId } from "./smartcard-hsm.ts";
import {
  deleteObject,
  generateKeyPair,
  importDkekShare,
  unwrapKey,
  wrapKey,
  writeFile,
} from "./smartcard-hsm-commands.ts";
import { tokenInfo } from "./smartcard-hsm-life.ts";

const TOKEN_INFO = Uint8Array.of(0x2f, 0x03);
/** First bytes of the identifiers of values (OpenSC, card-sc-hsm.h). */
const VALUE_PREFIX = { AUTHORITY: 0xca, GUARDED_DATA: FILE_PREFIX.GUARDED_DATA, DATA: 0xcf } as const;
const LAST_NUMBER = 255;
/** The largest value for a file: the rest of a longer one would not be read back. */
const MAX_VALUE = 0x7fff;

/**
 * Writes objects of a SmartCard-HSM (OpenSC, pkcs15init/pkcs15-sc-hsm.c). A key's entry is written before the key is made,
 * and a value before its entry: what an interruption leaves is not listed, and its number is used again.
 */
export class SmartCardHsmWriter implements TokenWriter {
  readonly #application: Pkcs15Application;

  constructor(application: Pkcs15Application) {
    this.#application = application;
  }

  async generate(request: KeyPairRequest, pin: PinEntry | undefined, options?: CallOptions): Promise<Uint8Array> {
    const { type, label = "" } = request;
    if (type.type !== "rsa" && type.type !== "ec")
      throw new UnsupportedError(`the card cannot generate keys on ${type.curve}`);
    if (request.alwaysAuthenticate) throw new UnsupportedError("the card does not ask for its PIN before each use");
    const { usage = { sign: true, decrypt: type.type === "rsa", derive: false } } = request;
    return this.#change(pin, options, async (turn, ids) => {
      const id = await this.#freeId(request.id);
      const number = freeNumber(ids, [FILE_PREFIX.KEY]);
      const bits = type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits;
      const command = generateKeyPair(number, type);
      const entry = privateKeyEntry(
        {
          label,
          private: true,
          authId: Uint8Array.of(1),
          id,
          usage,
          type: type.type,
          bits,
          keyReference: number,
          file: { path: new Uint8Array() },
        },
        true,
      );
      await write(turn, fileId(FILE_PREFIX.KEY_ENTRY, number), entry);
      const { data, sw } = await turn.send(command);
      if (sw !== SW.OK) throw writeFailure("GENERATE ASYMMETRIC KEY PAIR", sw);
      await write(turn, fileId(FILE_PREFIX.OWN_CERTIFICATE, number), data);
      return id;
    });
  }

  async create(
    object: NewCardObject,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<(item: DirectoryItem) => boolean> {
    if ("value" in object && object.value.length > MAX_VALUE)
      throw new UnsupportedError(`${object.value.length} bytes, ${MAX_VALUE} at most in a file`);
    switch (object.class) {
      case "private-key":
        throw new UnsupportedError("keys enter this card only encrypted with its DKEK");
      case "public-key":
        throw new UnsupportedError("this card creates public keys with their private keys");
      case "certificate":
        return this.#change(pin, options, async (turn, ids) => {
          const number = await this.#keyWithoutCertificate(object.id);
          if (number !== undefined) {
            const place = fileId(FILE_PREFIX.OWN_CERTIFICATE, number);
            await write(turn, place, object.value);
            return isIn(place);
          }
          const free = freeNumber(ids, [FILE_PREFIX.CERTIFICATE_ENTRY, VALUE_PREFIX.AUTHORITY]);
          const path = fileId(VALUE_PREFIX.AUTHORITY, free);
          await write(turn, path, object.value);
          const { label, id } = object;
          const entry = certificateEntry({ label, private: false, id, authority: false, file: { path } });
          await write(turn, fileId(FILE_PREFIX.CERTIFICATE_ENTRY, free), entry);
          return isIn(fileId(FILE_PREFIX.CERTIFICATE_ENTRY, free));
        });
      case "data":
        return this.#change(pin, options, async (turn, ids) => {
          const free = freeNumber(ids, [FILE_PREFIX.DATA_ENTRY, VALUE_PREFIX.DATA, VALUE_PREFIX.GUARDED_DATA]);
          const path = fileId(object.private ? VALUE_PREFIX.GUARDED_DATA : VALUE_PREFIX.DATA, free);
          await write(turn, path, object.value);
          const { label, application, objectId } = object;
          const guard = object.private ? { authId: Uint8Array.of(1) } : {};
          const described = { label, private: object.private, application, file: { path }, ...guard };
          const entry = dataEntry({ ...described, ...(objectId !== undefined && { objectId }) });
          await write(turn, fileId(FILE_PREFIX.DATA_ENTRY, free), entry);
          return isIn(fileId(FILE_PREFIX.DATA_ENTRY, free));
        });
    }
  }

  setAttributes(): Promise<Uint8Array> {
    return Promise.reject(new UnsupportedError("objects of this make of card cannot be changed"));
  }

  async setLabel(label: string, pin: PinEntry | undefined, options?: CallOptions): Promise<void> {
    await this.#change(pin, options, (turn) => write(turn, TOKEN_INFO, tokenInfo(label)));
  }

  async destroy({ entry, file }: DirectoryItem, pin: PinEntry | undefined, options?: CallOptions): Promise<void> {
    const place = file?.path.subarray(-2);
    if (!place) throw new UnsupportedError("the card does not allow changes of this object");
    const [, number = 0] = place;
    await this.#change(pin, options, async (turn) => {
      if (entry.class === "private-key") await remove(turn, fileId(FILE_PREFIX.KEY, number));
      await remove(turn, place);
      if (entry.class === "private-key") await remove(turn, fileId(FILE_PREFIX.OWN_CERTIFICATE, number));
      const isListed = entry.class === "certificate" || entry.class === "data";
      if (!isListed || entry.value?.kind !== "file") return;
      const value = entry.value.file.path.subarray(-2);
      if (!equalBytes(value, place)) await remove(turn, value);
    });
  }

  /** The card's export and import of keys; the token requires its login. */
  keyWrapping(pin: PinEntry | undefined): KeyWrapping {
    return {
      state: (options) => this.#application.session.run(askState, options),
      importShare: (share, options) => this.#application.session.run((turn) => sendShare(turn, share), options),
      wrap: async (key, options) => {
        const item = this.#application.objects.itemOf(key);
        if (!item) throw new UnsupportedError("the key does not belong to this card");
        return this.#change(pin, options, (turn) => wrap(turn, item));
      },
      unwrap: (wrapped, options) => this.#change(pin, options, (turn, ids) => this.#unwrap(turn, ids, wrapped)),
    };
  }

  /** @returns The CKA_ID. A key that is there already is completed only. */
  async #unwrap(turn: CardSession, ids: ReadonlySet<string>, wrapped: Uint8Array): Promise<Uint8Array> {
    const { blob, entry, certificate } = parseWrapped(wrapped);
    const state = await askState(turn);
    if (!state) throw new UnsupportedError("the card was not initialised with DKEK shares: no key can enter it");
    if (state.outstanding > 0) throw new UnsupportedError(`${state.outstanding} DKEK shares are missing on the card`);
    if (!equalBytes(blob.subarray(0, state.checkValue.length), state.checkValue)) {
      throw new UnsupportedError("the key was encrypted with another DKEK than the card's");
    }
    const described = readEntry("private-keys", entry);
    if (described.class !== "private-key") throw new DataError("wrapped key: its entry is no private key");
    const { id } = described.key;
    const present = await this.#numberOf(id);
    const number = present ?? freeNumber(ids, [FILE_PREFIX.KEY]);
    const place = fileId(FILE_PREFIX.OWN_CERTIFICATE, number);
    if (present !== undefined && ids.has(toHex(place)) && !startsWith(certificate, await readWhole(turn, place))) {
      throw new UnsupportedError("a key with this CKA_ID is on the card already");
    }
    if (present === undefined) {
      await write(turn, fileId(FILE_PREFIX.KEY_ENTRY, number), entry);
      const { sw } = await turn.send(unwrapKey(number, blob));
      if (sw === SW.WRONG_DATA) {
        const cause = new StatusError("UNWRAP KEY", sw);
        throw new UnsupportedError("the card does not accept the key: it was changed, or is of another card's kind", {
          cause,
        });
      }
      if (sw !== SW.OK) throw writeFailure("UNWRAP KEY", sw);
    }
    if (certificate) await write(turn, place, certificate);
    return id;
  }

  async #keys(): Promise<readonly { readonly id: Uint8Array; readonly number: number }[]> {
    const items = await this.#application.contents.directory("private-keys");
    return items.flatMap(({ entry }) =>
      entry.class === "private-key" ? [{ id: entry.key.id, number: entry.key.keyReference ?? 0 }] : [],
    );
  }

  async #numberOf(id: Uint8Array): Promise<number | undefined> {
    return (await this.#keys()).find((key) => equalBytes(key.id, id))?.number;
  }

  async #keyWithoutCertificate(id: Uint8Array): Promise<number | undefined> {
    const number = await this.#numberOf(id);
    if (number === undefined || id.length === 0) return undefined;
    const certificates = await this.#application.contents.directory("certificates");
    const place = fileId(FILE_PREFIX.OWN_CERTIFICATE, number);
    return certificates.some(isIn(place)) ? undefined : number;
  }

  /** The given CKA_ID, or an unused one. */
  async #freeId(wanted: Uint8Array | undefined): Promise<Uint8Array> {
    const keys = await this.#keys();
    const isTaken = (id: Uint8Array): boolean => keys.some((key) => equalBytes(key.id, id));
    if (wanted && wanted.length > 0) {
      if (isTaken(wanted)) throw new UnsupportedError("a key with this CKA_ID is on the card already");
      return wanted;
    }
    let number = 1;
    while (isTaken(Uint8Array.of(number)) && number < LAST_NUMBER) number++;
    return Uint8Array.of(number);
  }

  /** One change, with the card to itself. */
  #change<T>(
    pin: PinEntry | undefined,
    options: CallOptions | undefined,
    work: (turn: CardSession, ids: ReadonlySet<string>) => Promise<T>,
  ): Promise<T> {
    const application = this.#application;
    const change = async (): Promise<T> => {
      const hold = await application.session.card.hold(options);
      try {
        this.#forget();
        // Read before the transaction, which they would wait for.
        await application.contents.directory("private-keys");
        await application.contents.directory("certificates");
        return await application.session.run(async (turn) => {
          if (pin && !application.isVerified(pin)) throw new LoginRequiredError("the card needs the PIN for changes");
          return work(turn, await objectIds(turn));
        });
      } finally {
        this.#forget();
        await hold[Symbol.asyncDispose]();
      }
    };
    return application.inTurn(change, callSignal(options));
  }

  #forget(): void {
    const { contents, objects } = this.#application;
    contents.forget();
    contents.files.forgetAll();
    objects.forget();
  }
}

const placeOf = (id: Uint8Array): FilePath => childOf(APPLET, id);

const isIn =
  (id: Uint8Array) =>
  ({ file }: DirectoryItem): boolean =>
    file !== undefined && equalBytes(file.path, placeOf(id).path);

async function objectIds(turn: CardSession): Promise<ReadonlySet<string>> {
  const { data, sw } = await turn.send(enumerateObjects());
  if (sw !== SW.OK) throw new StatusError("ENUMERATE OBJECTS", sw);
  return new Set((toHex(data).match(/.{4}/gu) ?? []).map(String));
}

/** Whether a file holds only the first bytes of `whole`, as an interruption between two UPDATE BINARY commands leaves it. */
const startsWith = (whole: Uint8Array | undefined, part: Uint8Array): boolean =>
  whole !== undefined && part.length < whole.length && equalBytes(whole.subarray(0, part.length), part);

/** The lowest number that none of the kinds of objects has. */
function freeNumber(ids: ReadonlySet<string>, prefixes: readonly number[]): number {
  for (let number = 1; number <= LAST_NUMBER; number++) {
    if (!prefixes.some((prefix) => ids.has(toHex(fileId(prefix, number))))) return number;
  }
  throw new UnsupportedError("the card has no room for another object of this kind");
}

async function write(turn: CardSession, id: Uint8Array, bytes: Uint8Array): Promise<void> {
  for (const part of writeFile(id, bytes)) requireDone("UPDATE BINARY", await turn.send(part));
}

/** What is absent is deleted already. */
async function remove(turn: CardSession, id: Uint8Array): Promise<void> {
  const answer = await turn.send(deleteObject(id));
  if (answer.sw !== SW.FILE_NOT_FOUND) requireDone("DELETE FILE", answer);
}

function requireDone(action: string, { sw }: ResponseApdu): void {
  if (sw !== SW.OK) throw writeFailure(action, sw);
}

/** Undefined if the card was not initialised for key wrapping. */
async function askState(turn: CardSession): Promise<KeyWrappingState | undefined> {
  const answer = await turn.send(importDkekShare());
  if (answer.sw === SW.INSTRUCTION_NOT_SUPPORTED || answer.sw === SW.REFERENCED_DATA_NOT_FOUND) return undefined;
  return readState(answer);
}

function readState({ data, sw }: ResponseApdu): KeyWrappingState {
  if (sw !== SW.OK) throw new StatusError("IMPORT DKEK SHARE", sw);
  const [shares, outstanding] = data;
  if (shares === undefined || outstanding === undefined || data.length < 10) {
    throw new MalformedAnswerError(`the state of the DKEK has ${data.length} bytes`);
  }
  return { shares, outstanding, checkValue: data.slice(2, 10) };
}

const SHARE_LENGTH = 32;

async function sendShare(turn: CardSession, share: Uint8Array): Promise<KeyWrappingState> {
  if (share.length !== SHARE_LENGTH) throw new DataError(`a DKEK share has ${SHARE_LENGTH} bytes, not ${share.length}`);
  const answer = await turn.send(importDkekShare(share));
  if (answer.sw === SW.CONDITIONS_NOT_SATISFIED) {
    throw new UnsupportedError("the card has all its DKEK shares", {
      cause: new StatusError("IMPORT DKEK SHARE", answer.sw),
    });
  }
  if (answer.sw === SW.INSTRUCTION_NOT_SUPPORTED || answer.sw === SW.REFERENCED_DATA_NOT_FOUND) {
    throw new UnsupportedError("the card was not initialised with DKEK shares", {
      cause: new StatusError("IMPORT DKEK SHARE", answer.sw),
    });
  }
  return readState(answer);
}

/** The encrypted key, its entry and its certificate or request, as sc-hsm-tool writes them to a file. */
async function wrap(turn: CardSession, { entry, der, file }: DirectoryItem): Promise<Uint8Array> {
  const number = file?.path.at(-1);
  if (entry.class !== "private-key" || number === undefined)
    throw new UnsupportedError("only private keys are wrapped");
  const { data, sw } = await turn.send(wrapKey(number));
  if (sw === SW.INSTRUCTION_NOT_SUPPORTED) {
    throw new UnsupportedError("the card was not initialised with DKEK shares: its keys cannot leave it", {
      cause: new StatusError("WRAP KEY", sw),
    });
  }
  if (sw === SW.CONDITIONS_NOT_SATISFIED) {
    throw new UnsupportedError("DKEK shares are missing on the card: no key can leave it", {
      cause: new StatusError("WRAP KEY", sw),
    });
  }
  if (sw !== SW.OK) throw writeFailure("WRAP KEY", sw);
  const certificate = await readWhole(turn, fileId(FILE_PREFIX.OWN_CERTIFICATE, number));
  return derSequence(derOctetString(data), der, certificate);
}

/** The first data object of a file; empty if there is none. */
async function readWhole(turn: CardSession, [p1 = 0, p2 = 0]: Uint8Array): Promise<Uint8Array> {
  const command = { cla: 0x00, ins: 0xb1, p1, p2, data: Uint8Array.of(0x54, 0x02, 0x00, 0x00), ne: 65_536 };
  const { data, sw } = await turn.send(command);
  if (sw === SW.FILE_NOT_FOUND) return new Uint8Array();
  if (sw !== SW.OK && sw !== SW.END_OF_FILE) throw new StatusError("READ BINARY", sw);
  return data;
}

/** @throws {DataError} unless it is a file of sc-hsm-tool, with the key's entry. */
function parseWrapped(wrapped: Uint8Array): {
  readonly blob: Uint8Array;
  readonly entry: Uint8Array;
  readonly certificate: Uint8Array | undefined;
} {
  const reader = new DerReader(wrapped, "wrapped key").enter(TAG.SEQUENCE);
  const blob = reader.octetString();
  if (reader.remaining === 0) throw new DataError("wrapped key: no entry that describes it");
  const entry = reader.next().encoding;
  // A request is no DER of the usual tags: it is taken as it is.
  const offset = wrapped.length - reader.remaining;
  const certificate = reader.remaining > 0 ? wrapped.slice(offset) : undefined;
  if (readElements(entry, "wrapped key").elements.length !== 1) throw new DataError("wrapped key: a malformed entry");
  return { blob, entry, certificate: certificate && concat(certificate) };
}
