import { derSequence, derUnsigned } from "../asn1/index.ts";
import { equalBytes } from "../bytes/index.ts";
import { type KeyUsage, UnsupportedError } from "../card/index.ts";
import { curveInfo, keyTypeOf, parsePublicKey } from "../crypto/index.ts";
import { type FileAllocation, writeAll } from "./allocation.ts";
import type { CardContents } from "./contents.ts";
import type { KeyMaking } from "./dialect.ts";
import type { DirectoryWriter } from "./directory-writer.ts";
import type { PinEntry } from "./syntax/authentication.ts";
import { privateKeyEntry, publicKeyEntry } from "./syntax/new-entry.ts";
import type { CardTurn } from "./turn.ts";

/** Numbers that cards have for keys. */
const KEY_NUMBERS = { first: 0, last: 15 } as const;
/** CKA_ID of the key with number 0, where the caller names none. */
const FIRST_KEY_ID = 0x50;
const FROM_MASTER_FILE = { path: Uint8Array.of(0x3f, 0x00) } as const;

/** A pair that is to be listed. */
interface WantedPair {
  readonly id?: Uint8Array;
  readonly label: string;
  readonly usage: KeyUsage;
  readonly alwaysAuthenticate?: boolean;
  /** On the card, and not brought to it. */
  readonly made: boolean;
}

/** Brings key pairs into being on a card, and into its directories. */
export class KeyWriter {
  readonly #contents: CardContents;
  readonly #directories: DirectoryWriter;
  readonly #allocation: FileAllocation;

  constructor(contents: CardContents, directories: DirectoryWriter, allocation: FileAllocation) {
    this.#contents = contents;
    this.#directories = directories;
    this.#allocation = allocation;
  }

  /**
   * @param run Puts the key where the card keeps it, under its lowest number that is free. A key that was put there and never
   *   listed, because the card was pulled, is put there anew.
   * @returns The CKA_ID of the pair.
   */
  async write(
    turn: CardTurn,
    run: KeyMaking["run"],
    wanted: WantedPair,
    pin: PinEntry | undefined,
    taken: ReadonlySet<string>,
  ): Promise<Uint8Array> {
    const df = this.#contents.session.applicationDf;
    const reference = await this.#freeNumber();
    const id = wanted.id && wanted.id.length > 0 ? wanted.id : Uint8Array.of(FIRST_KEY_ID + reference);
    await this.#requireFree(id);
    await turn.enter(df);
    turn.hold(undefined);
    const spki = await run(turn, reference);
    const stored = storedKey(spki);
    const place = await this.#allocation.create(
      turn,
      stored.length,
      taken,
      await this.#directories.model(turn, "public-keys"),
    );
    await writeAll(turn, place, stored);
    const type = keyTypeOf(spki);
    const key = {
      label: wanted.label,
      id,
      usage: wanted.usage,
      type: type.type,
      bits: type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits,
      keyReference: reference,
    } as const;
    // Its public half alone does no harm; a private key without one cannot be used.
    const publicEntry = publicKeyEntry({ ...key, private: false, file: this.#directories.reference(place) });
    await this.#directories.add(turn, "public-keys", publicEntry, taken);
    const guarded = {
      private: true,
      ...(pin?.authId && { authId: pin.authId }),
      userConsent: wanted.alwaysAuthenticate ?? false,
    };
    const privateEntry = privateKeyEntry(
      { ...key, ...guarded, file: this.#directories.reference(df, FROM_MASTER_FILE) },
      wanted.made,
    );
    await this.#directories.add(turn, "private-keys", privateEntry, taken);
    return id;
  }

  async #freeNumber(): Promise<number> {
    const used = new Set<number | undefined>();
    for (const { entry } of await this.#contents.directory("private-keys")) {
      if (entry.class === "private-key") used.add(entry.key.keyReference);
    }
    for (let number: number = KEY_NUMBERS.first; number <= KEY_NUMBERS.last; number++) {
      if (!used.has(number)) return number;
    }
    throw new UnsupportedError("the card has no room for another key");
  }

  async #requireFree(id: Uint8Array): Promise<void> {
    for (const { entry } of await this.#contents.directory("private-keys")) {
      if (entry.class === "private-key" && equalBytes(entry.key.id, id)) {
        throw new UnsupportedError("a key with this CKA_ID is on the card already");
      }
    }
  }
}

/** As cards keep public keys: RSA as its two numbers, a curve's point with its curve (OpenSC reads them so). */
function storedKey(spki: Uint8Array): Uint8Array {
  const key = parsePublicKey(spki);
  if (key.type !== "rsa") return spki;
  return derSequence(derUnsigned(key.modulus), derUnsigned(key.publicExponent));
}
