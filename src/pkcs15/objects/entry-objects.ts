import { equalBytes, toHex } from "../../bytes/index.ts";
import {
  type CardCertificate,
  type CardData,
  type CardObject,
  type CardObjectBase,
  type CardPrivateKey,
  type CardPublicKey,
  type KeyUsage,
  untilCancelled,
} from "../../card/index.ts";
import type { Dialect } from "../dialect.ts";
import { PublicKeys, readCertificateOf } from "../keys/public-keys.ts";
import type { Pins } from "../pins/pins.ts";
import type { DirectoryEntry } from "../syntax/directory.ts";
import { KEY_ACCESS, type PrivateKeyEntry, type PublicKeyEntry, USAGE } from "../syntax/key.ts";
import { type CertificateEntry, type DataEntry, isGuarded } from "../syntax/object.ts";
import type { AlgorithmInfo } from "../syntax/token-info.ts";
import type { CardContents, DirectoryItem } from "./contents.ts";

/** A private key with the data for using it. */
export interface PlacedKey {
  readonly entry: PrivateKeyEntry;
  readonly algorithms: readonly AlgorithmInfo[];
  /** Its public key, SubjectPublicKeyInfo, if it is available without an exchange. */
  readonly publicKeyAtHand: () => Promise<Uint8Array | undefined>;
  /** Bytes of a coordinate, once a signature has shown it. */
  shownBytes?: number;
  /** How often the environment was set for it. */
  timesPrepared?: number;
}

/** What a directory lists is on the card. */
const isPresent: CardObjectBase["isPresent"] = (_search, options) => untilCancelled(options, () => true);

const ENVELOPED = "is encrypted for another recipient";

/** Makes facade objects from directory entries. */
export class EntryObjects {
  readonly #contents: CardContents;
  readonly #dialect: Dialect;
  readonly #publicKeys: PublicKeys;
  readonly #keys = new WeakMap<CardObject, PlacedKey>();

  constructor(contents: CardContents, dialect: Dialect) {
    this.#contents = contents;
    this.#dialect = dialect;
    this.#publicKeys = new PublicKeys(contents);
  }

  /** The data for using a key; undefined for another card's key. */
  keyOf(key: CardPrivateKey): PlacedKey | undefined {
    return this.#keys.get(key);
  }

  /**
   * The object of an entry; undefined if it cannot be used.
   * @param algorithms Those of TokenInfo.
   * @param name Makes a reference unique.
   */
  of(
    entry: DirectoryEntry,
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
    const told = usageOf(entry);
    const primitives = this.#dialect
      .primitives(type, algorithms)
      .filter((primitive) => primitive !== "ecdh" || told.derive);
    // Some entries claim key agreement although the card has no command for it.
    const usage = { ...told, derive: told.derive && primitives.includes("ecdh") };
    const object: CardPrivateKey = {
      class: "private-key",
      ...typeOf(entry),
      reference: name(`private-key.${toHex(key.id)}`),
      label: head.label,
      id: key.id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.deletable ?? (head.modifiable && this.#dialect.keys?.deletable !== undefined),
      usage,
      needsLogin: head.private || head.authId !== undefined,
      alwaysAuthenticate: head.userConsent === 1,
      primitives,
      // One that wants the PIN before each use has one attempt.
      findsCurve: type === "ec" && head.userConsent !== 1,
      local: key.access.has(KEY_ACCESS.LOCAL),
      alwaysSensitive: key.access.has(KEY_ACCESS.ALWAYS_SENSITIVE),
      neverExtractable: key.access.has(KEY_ACCESS.NEVER_EXTRACTABLE),
      isPresent,
      publicKey: (options) => untilCancelled(options, () => this.#publicKeys.of(entry)),
    };
    this.#keys.set(object, { entry, algorithms, publicKeyAtHand: () => this.#publicKeys.atHand(entry) });
    return object;
  }

  #publicKey(entry: PublicKeyEntry, name: (wanted: string) => string): CardPublicKey | undefined {
    const { head, key } = entry;
    if (entry.type === "other") return undefined;
    const usage = publicUsageOf(entry);
    return {
      class: "public-key",
      ...typeOf(entry),
      reference: name(`public-key.${toHex(key.id)}`),
      label: head.label,
      id: key.id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.deletable ?? head.modifiable,
      usage: { ...usage, derive: usage.derive && this.#mayAgree(entry.type) },
      isPresent,
      publicKey: (options) => untilCancelled(options, () => this.#publicKeys.of(entry)),
    };
  }

  /** Whether the card supports key agreement with the private half of a public key. */
  #mayAgree(type: "rsa" | "ec"): boolean {
    return this.#dialect.algorithmsFromTokenInfo || this.#dialect.primitives(type, []).includes("ecdh");
  }

  #certificate(entry: CertificateEntry, name: (wanted: string) => string): CardCertificate | undefined {
    const { head, id, value } = entry;
    if (!value || value.kind === "protected") {
      this.#contents.report(`certificate ${head.label}`, value ? ENVELOPED : "is not X.509");
      return undefined;
    }
    return {
      class: "certificate",
      reference: name(`certificate.${toHex(id)}`),
      label: head.label,
      id,
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.deletable ?? head.modifiable,
      ...(value.kind === "url" && { url: value.url }),
      isPresent,
      value: (options) => untilCancelled(options, () => readCertificateOf(this.#contents, entry)),
    };
  }

  #data(entry: DataEntry, name: (wanted: string) => string): CardData | undefined {
    const { head, application, objectId, value } = entry;
    if (value.kind === "url" || value.kind === "protected") {
      this.#contents.report(
        `data object ${head.label}`,
        value.kind === "url" ? `is not on the card, but at ${value.url}` : ENVELOPED,
      );
      return undefined;
    }
    return {
      class: "data",
      reference: name(`data.${value.kind === "file" ? toHex(value.file.path) : application}`),
      label: head.label,
      id: entry.id ?? new Uint8Array(),
      private: head.private,
      modifiable: head.modifiable,
      destroyable: head.deletable ?? head.modifiable,
      application,
      ...(objectId !== undefined && { objectId }),
      isPresent,
      value: (options) =>
        untilCancelled(options, () =>
          this.#contents.value(value, `data object ${head.label}`, { guarded: isGuarded(head) }),
        ),
    };
  }
}

/** The key type as far as the directory gives it: often only the public key's entry contains the curve. */
function typeOf({
  type,
  modulusBits,
  curve,
}: PrivateKeyEntry | PublicKeyEntry): Pick<CardPublicKey, "type" | "family"> {
  if (type === "rsa" && modulusBits !== undefined) return { type: { type, modulusBits } };
  if (type === "ec" && curve) return { type: { type, curve } };
  return type === "other" ? {} : { family: type };
}

function usageOf({ key: { usage } }: PrivateKeyEntry): KeyUsage {
  return {
    sign: usage.hasAny(USAGE.SIGN, USAGE.SIGN_RECOVER, USAGE.NON_REPUDIATION),
    decrypt: usage.hasAny(USAGE.DECIPHER, USAGE.UNWRAP),
    derive: usage.has(USAGE.DERIVE),
  };
}

/** The public half's counterparts: it verifies what the private half signs. */
function publicUsageOf({ key: { usage } }: PublicKeyEntry): KeyUsage {
  return {
    sign: usage.hasAny(USAGE.VERIFY, USAGE.VERIFY_RECOVER, USAGE.NON_REPUDIATION),
    decrypt: usage.hasAny(USAGE.ENCIPHER, USAGE.WRAP),
    derive: usage.has(USAGE.DERIVE),
  };
}

/** The token of an object: the one whose PIN protects it, or its private key; all other objects belong to the first. */
export class Owners {
  readonly #items: readonly DirectoryItem[];
  readonly #pins: Pins;

  constructor(items: readonly DirectoryItem[], pins: Pins) {
    this.#items = items;
    this.#pins = pins;
  }

  of({ entry }: DirectoryItem): number {
    const own = this.#guard(entry.head.authId);
    if (entry.class === "private-key") return own ?? 0;
    const id = "key" in entry ? entry.key.id : entry.class === "certificate" ? entry.id : undefined;
    const key =
      id && this.#items.find((item) => item.entry.class === "private-key" && equalBytes(item.entry.key.id, id));
    return (key && this.#guard(key.entry.head.authId)) ?? own ?? 0;
  }

  #guard(authId: Uint8Array | undefined): number | undefined {
    if (!authId) return undefined;
    const index = this.#pins.users.findIndex((pin) => pin.authId && equalBytes(pin.authId, authId));
    return index < 0 ? undefined : index;
  }
}
