import { toHex } from "../bytes/index.ts";
import type {
  CardCertificate,
  CardData,
  CardObject,
  CardPrivateKey,
  CardPublicKey,
  KeyType,
  KeyUsage,
} from "../card/index.ts";
import { readCertificateOf } from "./certificate-value.ts";
import type { CardContents, DirectoryItem } from "./contents.ts";
import type { Dialect } from "./dialect.ts";
import { Owners } from "./owners.ts";
import type { Pins } from "./pins.ts";
import { PublicKeys } from "./public-keys.ts";
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

/** The directories of each class. */
const KINDS = {
  "private-key": ["private-keys"],
  "public-key": ["public-keys", "trusted-public-keys"],
  certificate: ["certificates", "trusted-certificates", "useful-certificates"],
  data: ["data"],
} as const satisfies Record<CardObject["class"], readonly DirectoryKind[]>;
const CLASSES = ["private-key", "public-key", "certificate", "data"] as const;

type ObjectClass = CardObject["class"];

/** The objects of an application, as the facade sees them: made once, until the card is written to. */
export class ObjectList {
  readonly #contents: CardContents;
  readonly #dialect: Dialect;
  readonly #pins: Pins;
  readonly #publicKeys: PublicKeys;
  readonly #keys = new WeakMap<CardObject, PlacedKey>();
  readonly #items = new WeakMap<CardObject, DirectoryItem>();
  readonly #classes = new Map<ObjectClass, Promise<readonly PlacedObject[]>>();

  constructor(contents: CardContents, dialect: Dialect, pins: Pins) {
    this.#contents = contents;
    this.#dialect = dialect;
    this.#pins = pins;
    this.#publicKeys = new PublicKeys(contents);
  }

  /** Those of the classes named, from as many directories as it takes. */
  async of(classes: readonly ObjectClass[] = CLASSES): Promise<readonly PlacedObject[]> {
    const found: PlacedObject[] = [];
    for (const name of CLASSES) if (classes.includes(name)) found.push(...(await this.#class(name)));
    return found;
  }

  #class(name: ObjectClass): Promise<readonly PlacedObject[]> {
    const known = this.#classes.get(name);
    if (known) return known;
    const reading = this.#read(name);
    this.#classes.set(name, reading);
    reading.catch(() => this.#classes.delete(name));
    return reading;
  }

  forget(): void {
    this.#classes.clear();
  }

  /** What using a key takes; undefined for a key of somewhere else. */
  keyOf(key: CardPrivateKey): PlacedKey | undefined {
    return this.#keys.get(key);
  }

  /** The entry that an object was made of; undefined for an object of somewhere else. */
  itemOf(object: CardObject): DirectoryItem | undefined {
    return this.#items.get(object);
  }

  async #read(name: ObjectClass): Promise<readonly PlacedObject[]> {
    const items: DirectoryItem[] = [];
    for (const kind of KINDS[name]) items.push(...(await this.#contents.directory(kind)));
    const algorithms =
      name === "private-key" && this.#dialect.algorithmsFromTokenInfo
        ? ((await this.#contents.tokenInfo())?.algorithms ?? [])
        : [];
    // Where there is one token only, nobody needs to know whose the objects are.
    const keys = this.#pins.users.length > 1 ? await this.#contents.directory("private-keys") : [];
    const owners = new Owners(keys, this.#pins);
    await this.#checkGuards(items);
    const names = new Set<string>();
    return items.flatMap((item) => {
      const object = this.#object(item, algorithms, (wanted) => unique(names, wanted));
      if (!object) return [];
      this.#items.set(object, item);
      return [{ object, item, token: owners.of(item) }];
    });
  }

  /** Objects that nobody knows how to get leave for: they are shown all the same, for the card may give it. */
  async #checkGuards(items: readonly DirectoryItem[]): Promise<void> {
    const known = new Set<string>();
    for (const { entry } of await this.#contents.directory("authentication")) {
      if ("authId" in entry && entry.authId) known.add(toHex(entry.authId));
    }
    for (const { entry } of items) {
      const { authId, label } = entry.head;
      if (!authId || known.has(toHex(authId))) continue;
      this.#contents.report(`${entry.class} ${label}`, `is guarded by ${toHex(authId)}, which the card does not have`);
    }
  }

  #object(
    { entry }: DirectoryItem,
    algorithms: readonly AlgorithmInfo[],
    name: (wanted: string) => string,
  ): CardObject | undefined {
    switch (entry.class) {
      case "private-key":
        return this.#privateKey(entry, algorithms, name);
      case "public-key":
        return this.#publicKey(entry, name);
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
      ...typeOf(entry),
      reference: name(`private-key.${toHex(key.id)}`),
      label: head.label,
      id: key.id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.modifiable && this.#dialect.keys?.deletable !== undefined,
      usage,
      needsLogin: head.private || head.authId !== undefined,
      alwaysAuthenticate: head.userConsent === 1,
      primitives: this.#dialect
        .primitives(type, algorithms)
        .filter((primitive) => primitive !== "ecdh" || usage.derive),
      local: key.access.has(KEY_ACCESS.LOCAL),
      exists: () => Promise.resolve(true),
      publicKey: () => this.#publicKeys.of(entry),
    };
    this.#keys.set(object, { entry, algorithms });
    return object;
  }

  #publicKey(entry: PublicKeyEntry, name: (wanted: string) => string): CardPublicKey | undefined {
    const { head, key } = entry;
    if (entry.type === "other") return undefined;
    return {
      class: "public-key",
      ...typeOf(entry),
      reference: name(`public-key.${toHex(key.id)}`),
      label: head.label,
      id: key.id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.modifiable,
      usage: publicUsageOf(entry),
      exists: () => Promise.resolve(true),
      publicKey: () => this.#publicKeys.of(entry),
    };
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
      value: () => readCertificateOf(this.#contents, entry),
    };
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

/** The type, where the directory says all of it: the curve of an EC key mostly stands with its public half only. */
function typeOf({ type, modulusBits, curve }: PrivateKeyEntry | PublicKeyEntry): { readonly type?: KeyType } {
  if (type === "rsa" && modulusBits !== undefined) return { type: { type, modulusBits } };
  return type === "ec" && curve ? { type: { type, curve } } : {};
}

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
