import { MalformedAnswerError } from "../apdu/index.ts";
import { derLength, parseCertificate } from "../asn1/index.ts";
import { DataError, equalBytes, toHex } from "../bytes/index.ts";
import type { CardCertificate, CardData, CardObject, CardPrivateKey, CardPublicKey, KeyUsage } from "../card/index.ts";
import { curveInfo, keyTypeOf } from "../crypto/index.ts";
import type { CardContents, DirectoryItem } from "./contents.ts";
import type { Dialect } from "./dialect.ts";
import { Owners } from "./owners.ts";
import type { Pins } from "./pins.ts";
import { readStoredCertificate, readStoredKey } from "./public-key.ts";
import type { CertificateEntry } from "./syntax/certificate.ts";
import type { DataEntry } from "./syntax/data.ts";
import type { DirectoryKind } from "./syntax/directory.ts";
import { KEY_ACCESS, type PrivateKeyEntry, type PublicKeyEntry, USAGE } from "./syntax/key.ts";
import type { AlgorithmInfo } from "./syntax/token-info.ts";

/** An object, the entry that it is made of, and the token that it belongs to. */
export interface PlacedObject {
  readonly object: CardObject;
  readonly item: DirectoryItem;
  /** Which of the application's tokens. */
  readonly token: number;
}

/** A private key with what using it takes. */
export interface PlacedKey {
  readonly entry: PrivateKeyEntry;
  readonly algorithms: readonly AlgorithmInfo[];
}

const KINDS: readonly DirectoryKind[] = [
  "private-keys",
  "public-keys",
  "trusted-public-keys",
  "certificates",
  "trusted-certificates",
  "useful-certificates",
  "data",
];

/** The objects of an application, as the facade sees them: made once, until the card is written to. */
export class ObjectList {
  readonly #contents: CardContents;
  readonly #dialect: Dialect;
  readonly #pins: Pins;
  readonly #keys = new WeakMap<CardObject, PlacedKey>();
  readonly #items = new WeakMap<CardObject, DirectoryItem>();
  #objects: Promise<readonly PlacedObject[]> | undefined;

  constructor(contents: CardContents, dialect: Dialect, pins: Pins) {
    this.#contents = contents;
    this.#dialect = dialect;
    this.#pins = pins;
  }

  all(): Promise<readonly PlacedObject[]> {
    if (this.#objects) return this.#objects;
    const reading = this.#read();
    this.#objects = reading;
    reading.catch(() => (this.#objects = undefined));
    return reading;
  }

  forget(): void {
    this.#objects = undefined;
  }

  /** What using a key takes; undefined for a key of somewhere else. */
  keyOf(key: CardPrivateKey): PlacedKey | undefined {
    return this.#keys.get(key);
  }

  /** The entry that an object was made of; undefined for an object of somewhere else. */
  itemOf(object: CardObject): DirectoryItem | undefined {
    return this.#items.get(object);
  }

  async #read(): Promise<readonly PlacedObject[]> {
    const items: DirectoryItem[] = [];
    for (const kind of KINDS) items.push(...(await this.#contents.directory(kind)));
    const algorithms = this.#dialect.algorithmsFromTokenInfo
      ? ((await this.#contents.tokenInfo())?.algorithms ?? [])
      : [];
    const names = new Set<string>();
    const owners = new Owners(items, this.#pins);
    return items.flatMap((item) => {
      const object = this.#object(item, items, algorithms, (name) => unique(names, name));
      if (!object) return [];
      this.#items.set(object, item);
      return [{ object, item, token: owners.of(item) }];
    });
  }

  #object(
    item: DirectoryItem,
    all: readonly DirectoryItem[],
    algorithms: readonly AlgorithmInfo[],
    name: (wanted: string) => string,
  ): CardObject | undefined {
    const { entry } = item;
    switch (entry.class) {
      case "private-key":
        return this.#privateKey(entry, all, algorithms, name);
      case "public-key":
        return this.#publicKey(entry, all, name);
      case "certificate":
        return this.#certificate(entry, name);
      case "data":
        return this.#data(entry, name);
      case "secret-key":
      case "pin":
      case "authentication":
        return undefined;
    }
  }

  #privateKey(
    entry: PrivateKeyEntry,
    all: readonly DirectoryItem[],
    fromTokenInfo: readonly AlgorithmInfo[],
    name: (wanted: string) => string,
  ): CardPrivateKey | undefined {
    const { head, key, type } = entry;
    if (type === "other" || !key.native) return undefined;
    const own = key.algorithms;
    const algorithms =
      own.length === 0 ? fromTokenInfo : fromTokenInfo.filter(({ reference }) => own.includes(reference));
    const usage = usageOf(entry);
    const object: CardPrivateKey = {
      class: "private-key",
      reference: name(`private-key.${toHex(key.id)}`),
      label: head.label,
      id: key.id,
      private: head.private,
      modifiable: head.modifiable,
      usage,
      needsLogin: head.private || head.authId !== undefined,
      alwaysAuthenticate: head.userConsent === 1,
      primitives: this.#dialect
        .primitives(type, algorithms)
        .filter((primitive) => primitive !== "ecdh" || usage.derive),
      local: key.access.has(KEY_ACCESS.LOCAL),
      exists: () => Promise.resolve(true),
      publicKey: () => this.#publicHalf(entry, all),
    };
    this.#keys.set(object, { entry, algorithms });
    return object;
  }

  #publicKey(
    entry: PublicKeyEntry,
    all: readonly DirectoryItem[],
    name: (wanted: string) => string,
  ): CardPublicKey | undefined {
    const { head, key } = entry;
    if (entry.type === "other") return undefined;
    return {
      class: "public-key",
      reference: name(`public-key.${toHex(key.id)}`),
      label: head.label,
      id: key.id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.modifiable,
      usage: publicUsageOf(entry),
      exists: () => Promise.resolve(true),
      publicKey: () => this.#publicHalf(entry, all),
    };
  }

  /**
   * The public key that belongs to an entry: out of the directory if it stands there, else of the certificate of the same
   * identifier, which is wanted anyway most of the time, else of its own file.
   */
  async #publicHalf(wanted: PrivateKeyEntry | PublicKeyEntry, all: readonly DirectoryItem[]): Promise<Uint8Array> {
    const { id } = wanted.key;
    const stored = all.flatMap(({ entry }) =>
      entry.class === "public-key" && equalBytes(entry.key.id, id) ? [entry] : [],
    );
    const certificates = all.flatMap(({ entry }) =>
      entry.class === "certificate" && entry.type === "x509" && equalBytes(entry.id, id) ? [entry] : [],
    );
    const direct = stored.filter(({ value }) => value?.kind === "direct");
    const sources = [
      ...direct.map((entry) => () => this.#storedKey(entry)),
      ...certificates.map((entry) => () => this.#keyOfCertificate(entry)),
      ...stored.filter(({ value }) => value?.kind === "file").map((entry) => () => this.#storedKey(entry)),
    ];
    let failure: unknown;
    for (const read of sources) {
      try {
        const spki = await read();
        if (fits(wanted, spki)) return spki;
      } catch (error) {
        if (!(error instanceof DataError || error instanceof MalformedAnswerError)) throw error;
        failure = error;
      }
    }
    throw new MalformedAnswerError(`the card has no public key for ${wanted.head.label || toHex(id)}`, {
      cause: failure,
    });
  }

  async #storedKey({ value, curve, head }: PublicKeyEntry): Promise<Uint8Array> {
    if (!value) throw new DataError("a public key without a value");
    return readStoredKey(await this.#contents.value(value, `public key ${head.label}`), curve);
  }

  async #keyOfCertificate(entry: CertificateEntry): Promise<Uint8Array> {
    return parseCertificate(await this.#certificateValue(entry)).subjectPublicKeyInfo;
  }

  #certificate(entry: CertificateEntry, name: (wanted: string) => string): CardCertificate | undefined {
    const { head, id, value } = entry;
    if (!value) return undefined;
    return {
      class: "certificate",
      reference: name(`certificate.${toHex(id)}`),
      label: head.label,
      id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.modifiable,
      exists: () => Promise.resolve(value.kind === "file" || value.kind === "direct"),
      value: () => this.#certificateValue(entry),
    };
  }

  async #certificateValue({ value, head }: CertificateEntry): Promise<Uint8Array> {
    const where = `certificate ${head.label}`;
    if (!value) throw new MalformedAnswerError(`${where} is not X.509`);
    const bytes = await this.#contents.value(value, where, { enough: isWhole, guarded: head.private });
    try {
      return readStoredCertificate(bytes);
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      this.#contents.report(where, cause.message);
      throw new MalformedAnswerError(`${where} does not parse: ${cause.message}`, { cause });
    }
  }

  #data(entry: DataEntry, name: (wanted: string) => string): CardData {
    const { head, application, objectId, value } = entry;
    return {
      class: "data",
      reference: name(`data.${value.kind === "file" ? toHex(value.file.path) : application}`),
      label: head.label,
      id: entry.id ?? new Uint8Array(),
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.modifiable,
      application,
      ...(objectId !== undefined && { objectId }),
      exists: () => Promise.resolve(value.kind === "file" || value.kind === "direct"),
      value: () => this.#contents.value(value, `data object ${head.label}`, { guarded: head.private }),
    };
  }
}

/** Nothing behind the element that the file begins with is wanted. */
function isWhole(bytes: Uint8Array): boolean {
  try {
    return bytes.length >= derLength(bytes);
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

/** Whether a public key is of the type and size that the directory says of the private one: certificates get mixed up. */
function fits(entry: PrivateKeyEntry | PublicKeyEntry, spki: Uint8Array): boolean {
  const type = keyTypeOf(spki);
  if (type.type !== entry.type) return false;
  if (type.type === "rsa") return entry.modulusBits === undefined || sameSize(entry.modulusBits, type.modulusBits);
  return entry.fieldBits === undefined || sameSize(entry.fieldBits, curveInfo(type.curve).bits);
}

/** Cards round sizes up to whole bytes. */
const sameSize = (told: number, real: number): boolean => Math.ceil(told / 8) === Math.ceil(real / 8);

function usageOf({ key: { usage } }: PrivateKeyEntry): KeyUsage {
  return {
    sign: usage.hasAny(USAGE.SIGN, USAGE.SIGN_RECOVER, USAGE.NON_REPUDIATION),
    decrypt: usage.hasAny(USAGE.DECIPHER, USAGE.UNWRAP),
    derive: usage.has(USAGE.DERIVE),
  };
}

/** Of the public half, the counterparts: what it verifies, the other one signs. */
function publicUsageOf({ key: { usage } }: PublicKeyEntry): KeyUsage {
  return {
    sign: usage.hasAny(USAGE.VERIFY, USAGE.VERIFY_RECOVER, USAGE.NON_REPUDIATION),
    decrypt: usage.hasAny(USAGE.ENCIPHER, USAGE.WRAP),
    derive: usage.has(USAGE.DERIVE),
  };
}

function unique(names: Set<string>, wanted: string): string {
  let name = wanted;
  for (let number = 2; names.has(name); number++) name = `${wanted}#${number}`;
  names.add(name);
  return name;
}
