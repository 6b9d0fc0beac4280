import { findTlv, readTlvs, StatusError, supportsExtendedLength, SW } from "../../apdu/index.ts";
import { berLength } from "../../asn1/index.ts";
import { memoizeAsync } from "../../async/index.ts";
import { DataError, toHex, utf8 } from "../../bytes/index.ts";
import { confirmedAnswer, isAnswer, isMalformed, isNotFound } from "../../card/index.ts";
import type { FoundApplication } from "../application.ts";
import { selected } from "../files/card-session.ts";
import { CardFiles } from "../files/files.ts";
import { childOf, type FilePath, pathName } from "../files/paths.ts";
import { PublicCache, type PublicFileStore } from "../files/public-cache.ts";
import { type CardStateCache, Pkcs15Session } from "../files/session.ts";
import type { Catalogue, Findings, ListedObject, Note } from "../objects/catalogue.ts";
import { CardContents } from "../objects/contents.ts";
import { isSmartCardHsm, SMARTCARD_HSM_AID } from "../recognition/makes.ts";
import { readCardVerifiable } from "../syntax/card-verifiable.ts";
import { type DirectoryEntry, type DirectoryKind, readElements, readEntry } from "../syntax/directory.ts";
import type { PrivateKeyEntry } from "../syntax/key.ts";
import { readTokenInfo, type TokenInfo } from "../syntax/token-info.ts";
import {
  APPLET,
  certificateEntry,
  dataEntry,
  DEVICE_CERTIFICATE,
  enumerateObjects,
  FILE_PREFIX,
  fileId,
  ownCertificateEntry,
  privateKeyEntry,
  publicKeyEntry,
  SMARTCARD_HSM_ACCESS,
  TOKEN_INFO,
} from "./smartcard-hsm.ts";
import { selectApplet } from "./smartcard-hsm-commands.ts";
import { SMARTCARD_HSM_PINS } from "./smartcard-hsm-pins.ts";

/** A holder's reference ends with a sequence number of five digits, after a name of at least three characters. */
const SEQUENCE_NUMBER = 5;
const MIN_HOLDER = 8;
/** An X.509 certificate begins so; a certificate request does not. */
const SEQUENCE = 0x30;

interface NumberedKey extends ListedObject {
  readonly number: number;
  readonly entry: PrivateKeyEntry;
}

/**
 * The objects of a SmartCard-HSM (OpenSC, pkcs15-sc-hsm.c). The card lists its files and keys; each key has a file with
 * a PrKDF entry, and so do certificates without keys, and data. The certificate of a key has no entry; until it exists,
 * its file holds a request for it.
 */
class SmartCardHsmCatalogue implements Catalogue {
  readonly #session: Pkcs15Session;
  readonly #files: CardFiles;
  readonly #findings: Findings;
  readonly #store: PublicFileStore | undefined;
  readonly #enumerated = memoizeAsync(() => this.#enumerate());

  /** @param store For copies of the files that describe objects. */
  constructor(session: Pkcs15Session, files: CardFiles, findings: Findings, store: PublicFileStore | undefined) {
    this.#store = store;
    this.#session = session;
    this.#files = files;
    this.#findings = findings;
  }

  async objects(kind: DirectoryKind, note: Note): Promise<readonly ListedObject[]> {
    switch (kind) {
      case "authentication":
        return SMARTCARD_HSM_PINS.map(made);
      case "private-keys":
        return this.#readKeys(note);
      case "public-keys":
        return (await this.#keysWithFile(note)).map(({ number, entry }) =>
          ownFile(number, publicKeyEntry(number, entry)),
        );
      case "certificates":
        return [
          ...(await this.#ownCertificates(note)),
          ...(await this.#listed(kind, FILE_PREFIX.CERTIFICATE_ENTRY, note)),
        ];
      case "data":
        return this.#listed(kind, FILE_PREFIX.DATA_ENTRY, note);
      default:
        return [];
    }
  }

  async #ownCertificates(note: Note): Promise<readonly ListedObject[]> {
    const found: ListedObject[] = [];
    for (const { number, entry } of await this.#keysWithFile(note)) {
      const where = `certificate of ${entry.head.label}`;
      const bytes = await this.#read(FILE_PREFIX.OWN_CERTIFICATE, number, where, note);
      if (bytes?.[0] !== SEQUENCE) continue;
      // A writer that was interrupted leaves a part, which counts as no certificate: the next one takes its place.
      if (isWhole(bytes)) found.push(ownFile(number, ownCertificateEntry(number, entry)));
      else note(where, "only a part of it was written", placeOf(FILE_PREFIX.OWN_CERTIFICATE, number));
    }
    return found;
  }

  async #listed(kind: "certificates" | "data", prefix: number, note: Note): Promise<readonly ListedObject[]> {
    const found: ListedObject[] = [];
    for (const number of await this.#numbers(prefix)) {
      const object = await this.#described(kind, prefix, number, note);
      if (!object) continue;
      const { entry, der } = object;
      const file = placeOf(prefix, number);
      if (entry.class === "certificate") found.push({ entry: certificateEntry(entry), der, file });
      if (entry.class === "data") found.push({ entry: dataEntry(entry), der, file });
    }
    return found;
  }

  /** Keys with a certificate, or a request for one. Some firmware never lists these files: there each is read. */
  async #keysWithFile(note: Note): Promise<readonly NumberedKey[]> {
    const keys = await this.#readKeys(note);
    const listed = await this.#numbers(FILE_PREFIX.OWN_CERTIFICATE);
    if (listed.some((number) => number !== 0)) return keys.filter(({ number }) => listed.includes(number));
    const found: NumberedKey[] = [];
    for (const key of keys) if (await this.#hasOwnCertificate(key, note)) found.push(key);
    return found;
  }

  async #hasOwnCertificate({ number, entry }: NumberedKey, note: Note): Promise<boolean> {
    const place = placeOf(FILE_PREFIX.OWN_CERTIFICATE, number);
    try {
      await this.#files.read(place, { enough: isWhole, guarded: true });
      return true;
    } catch (error) {
      if (!(error instanceof StatusError && isNotFound(error.sw))) {
        this.#pass(error, `certificate of ${entry.head.label}`, place, note);
      }
      return false;
    }
  }

  async #readKeys(note: Note): Promise<readonly NumberedKey[]> {
    const described = new Set(await this.#numbers(FILE_PREFIX.KEY_ENTRY));
    const found: NumberedKey[] = [];
    for (const number of await this.#numbers(FILE_PREFIX.KEY)) {
      // The device's own key, which signs requests.
      if (number === 0) continue;
      if (!described.has(number)) this.#findings.add(`key ${number}`, "has no entry that describes it");
      const item = described.has(number)
        ? await this.#described("private-keys", FILE_PREFIX.KEY_ENTRY, number, note)
        : undefined;
      if (item?.entry.class !== "private-key") continue;
      const file = placeOf(FILE_PREFIX.KEY_ENTRY, number);
      found.push({ number, entry: privateKeyEntry(number, item.entry), der: item.der, file });
    }
    return found;
  }

  /** The entry in a file of its own; undefined, with a finding, if it does not parse or cannot be read. */
  async #described(kind: DirectoryKind, prefix: number, number: number, note: Note): Promise<ListedObject | undefined> {
    const where = `${kind} ${pathName(placeOf(prefix, number))}`;
    const bytes = await this.#read(prefix, number, where, note);
    if (!bytes) return undefined;
    try {
      const [first] = readElements(bytes, where).elements;
      if (!first) throw new DataError("no entry");
      return { entry: readEntry(kind, first.der), der: first.der };
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      note(where, error.message, placeOf(prefix, number));
      return undefined;
    }
  }

  async #read(prefix: number, number: number, where: string, note: Note): Promise<Uint8Array | undefined> {
    try {
      const guarded = prefix === FILE_PREFIX.OWN_CERTIFICATE;
      return (await this.#files.read(placeOf(prefix, number), { enough: isWhole, guarded })).bytes;
    } catch (error) {
      this.#pass(error, where, placeOf(prefix, number), note);
      return undefined;
    }
  }

  /** Continues without a file that the card refuses, or that does not parse. */
  #pass(error: unknown, where: string, place: FilePath, note: Note): void {
    if (isMalformed(error)) note(where, error.message, place);
    else if (isAnswer(error)) this.#findings.add(where, error.message);
    else throw error;
  }

  forget(): void {
    this.#enumerated.clear();
  }

  async #numbers(prefix: number): Promise<readonly number[]> {
    const list = await this.#enumerated();
    return Array.from({ length: 256 }, (_, number) => number).filter((number) =>
      list.has(toHex(fileId(prefix, number))),
    );
  }

  async #enumerate(): Promise<ReadonlySet<string>> {
    const { data, sw } = await this.#session.read((turn) => turn.send(enumerateObjects()));
    if (sw !== SW.OK) throw new StatusError("ENUMERATE OBJECTS", sw);
    if (data.length % 2 !== 0) this.#findings.add("list of objects", `${data.length} bytes; each object has two`);
    await this.#useCopies(data);
    const ids = Array.from({ length: Math.floor(data.length / 2) }, (_, at) =>
      toHex(data.subarray(2 * at, 2 * at + 2)),
    );
    return new Set(ids);
  }

  /** Copies count for one list of files. A certificate changes without a change of the list: those are always read. */
  async #useCopies(list: Uint8Array): Promise<void> {
    const store = this.#store;
    if (!store) return;
    const serial = await this.#serialNumber(() => undefined);
    if (serial === "") return;
    this.#files.keepCopies(PublicCache.ofList(store, `${toHex(this.#session.card.atr)} ${serial}`, list));
  }

  /** Only the label of the file is used, and the file may be missing (OpenSC, sc_pkcs15emu_sc_hsm_init). */
  async tokenInfo(note: Note): Promise<TokenInfo | undefined> {
    const serialText = await this.#serialNumber(note);
    const info = await this.#readTokenInfo(note);
    return {
      readOnly: false,
      loginRequired: true,
      randomNumbers: true,
      algorithms: [],
      holder: "",
      problem: undefined,
      ...info,
      label: notEmpty(info?.label) ?? "SmartCard-HSM",
      manufacturer: notEmpty(info?.manufacturer) ?? "www.CardContact.de",
      serialNumber: utf8(serialText),
      serialText,
      lastUpdate: undefined,
    };
  }

  async #serialNumber(note: Note): Promise<string> {
    const where = "certificate of the device";
    try {
      const { bytes } = await this.#files.read(DEVICE_CERTIFICATE, { enough: isWhole });
      const { holder } = readCardVerifiable(bytes);
      if (holder.length < MIN_HOLDER) throw new DataError(`a holder's reference of ${holder.length} characters`);
      return holder.slice(0, -SEQUENCE_NUMBER);
    } catch (error) {
      this.#pass(error, where, DEVICE_CERTIFICATE, note);
      return "";
    }
  }

  async #readTokenInfo(note: Note): Promise<TokenInfo | undefined> {
    try {
      const { bytes } = await this.#files.read(TOKEN_INFO, { enough: isWhole });
      const [first] = readElements(bytes, "TokenInfo").elements;
      return first && readTokenInfo(first.der);
    } catch (error) {
      if (!(error instanceof StatusError && isNotFound(error.sw))) this.#pass(error, "TokenInfo", TOKEN_INFO, note);
      return undefined;
    }
  }
}

function notEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function placeOf(prefix: number, number: number): FilePath {
  return childOf(APPLET, fileId(prefix, number));
}

/** What only the file of a key's certificate says. */
function ownFile(number: number, entry: DirectoryEntry): ListedObject {
  return { ...made(entry), file: placeOf(FILE_PREFIX.OWN_CERTIFICATE, number) };
}

function made(entry: DirectoryEntry): ListedObject {
  return { entry, der: new Uint8Array() };
}

/** Returns the first element of a file, without trailing bytes. */
function isWhole(bytes: Uint8Array): boolean {
  try {
    return berLength(bytes) !== undefined;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** The applet, by its name. */
export async function findSmartCardHsm(
  cache: CardStateCache,
  findings: Findings,
): Promise<readonly FoundApplication[]> {
  const answer = await cache.card.exclusively((channel) => confirmedAnswer(() => channel.send(selectApplet())));
  if (!selected(answer) || !(isSmartCardHsm(cache.card.atr) || tellsOptions(answer.data))) return [];
  const session = new Pkcs15Session(cache, { aid: SMARTCARD_HSM_AID, df: APPLET }, DEVICE_CERTIFICATE, true);
  const files = new CardFiles(session, supportsExtendedLength(cache.card.atr), SMARTCARD_HSM_ACCESS);
  const catalogue = new SmartCardHsmCatalogue(session, files, findings, cache.store);
  const contents = new CardContents(session, files, findings, { catalogue });
  return [{ contents, aid: SMARTCARD_HSM_AID, selectAnswer: answer.data }];
}

/**
 * Options and version in the answer to SELECT: other cards accept any name (OpenSC, card-sc-hsm.c, sc_hsm_match_card).
 */
function tellsOptions(data: Uint8Array): boolean {
  try {
    const [outer] = readTlvs(data, "file control information");
    return outer !== undefined && (findTlv(readTlvs(outer.value), 0x85)?.length ?? 0) >= 2;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}
