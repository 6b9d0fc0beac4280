import { derSequence, derUnsigned } from "../../asn1/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { CardError, type KeyUsage, UnsupportedError } from "../../card/index.ts";
import { curveInfo, keyTypeOf, parsePublicKey } from "../../crypto/index.ts";
import { fill, type FileAllocation, type TakenNames } from "./allocation.ts";
import type { CardContents } from "../objects/contents.ts";
import type { KeyMaking } from "../dialect.ts";
import type { DirectoryWriter } from "./directory-writer.ts";
import type { FilePath } from "../files/paths.ts";
import type { PinEntry } from "../syntax/authentication.ts";
import type { PrivateKeyEntry } from "../syntax/key.ts";
import { privateKeyEntry, publicKeyEntry } from "../syntax/new-entry.ts";
import type { CardSession } from "../files/card-session.ts";

/** Key numbers of cards. */
const KEY_NUMBERS = { first: 0, last: 15 } as const;
/** CKA_ID of the first key, if the caller names none. */
const FIRST_KEY_ID = 0x50;
const FROM_MASTER_FILE = { path: Uint8Array.of(0x3f, 0x00) } as const;

/** A key pair for a directory. */
interface WantedPair {
  readonly id?: Uint8Array;
  readonly label: string;
  readonly usage: KeyUsage;
  readonly alwaysAuthenticate?: boolean;
  /** Whether it was generated on the card, not imported. */
  readonly made: boolean;
}

/** The place of a key: the number and the path for its entry. */
interface KeyHome {
  readonly reference: number;
  readonly place: FilePath;
}

/** Creates key pairs on a card, and their directory entries. */
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
   * @param making Creates the key under the card's lowest free number, or identifier. An unlisted key, left over
   *   because the card was removed, is deleted first.
   * @returns The CKA_ID of the pair.
   */
  async write(
    turn: CardSession,
    making: KeyMaking,
    wanted: WantedPair,
    pin: PinEntry | undefined,
    taken: TakenNames,
  ): Promise<Uint8Array> {
    const id = await this.#freeId(wanted.id);
    const home = await this.#home(turn, making, { ...wanted, pin }, taken);
    const spki = await this.#make(turn, making, home);
    const stored = storedKey(spki);
    const place = await this.#allocation.createLike(
      turn,
      stored.length,
      taken,
      await this.#directories.model(turn, "public-keys"),
    );
    await fill(turn, this.#contents.files, place, stored);
    const type = keyTypeOf(spki);
    const key = {
      label: wanted.label,
      id,
      usage: wanted.usage,
      type: type.type,
      bits: type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits,
      keyReference: home.reference,
    } as const;
    // A public half alone is harmless; a private key without one cannot be used.
    const publicEntry = publicKeyEntry({ ...key, private: false, file: this.#directories.reference(place) });
    await this.#directories.add(turn, "public-keys", publicEntry, taken);
    const guarded = {
      private: true,
      ...(pin?.authId && { authId: pin.authId }),
      userConsent: wanted.alwaysAuthenticate ?? false,
    };
    const privateEntry = privateKeyEntry(
      { ...key, ...guarded, file: this.#directories.reference(home.place, FROM_MASTER_FILE) },
      wanted.made,
    );
    await this.#directories.add(turn, "private-keys", privateEntry, taken);
    return id;
  }

  /** A new file for the key, or a free number in the application's DF. */
  async #home(
    turn: CardSession,
    { file }: KeyMaking,
    { pin, alwaysAuthenticate = false }: WantedPair & { readonly pin: PinEntry | undefined },
    taken: TakenNames,
  ): Promise<KeyHome> {
    if (!file) return { reference: await this.#freeNumber(), place: this.#contents.session.applicationDf };
    const guard = { pin: pin?.reference, alwaysAuthenticate };
    const place = await this.#allocation.create(turn, taken, (id) => file(id, guard));
    return { reference: place.path.at(-1) ?? 0, place };
  }

  /** Runs `making` with the key's file or DF current. A refusal also deletes the key file. */
  async #make(turn: CardSession, { file, run }: KeyMaking, { reference, place }: KeyHome): Promise<Uint8Array> {
    turn.hold(undefined);
    if (!file) {
      await turn.enter(place);
      return run(turn, reference);
    }
    try {
      await turn.select(place);
      return await run(turn, reference);
    } catch (error) {
      // A removed card keeps the file, and the next write finds it.
      await this.#allocation.remove(turn, place).catch(() => undefined);
      throw error;
    }
  }

  /** Cards overwrite the key with the same number: none is known to be free while some of the keys may be unknown. */
  async #freeNumber(): Promise<number> {
    const used = new Set((await this.#keys()).map(({ keyReference }) => keyReference));
    if (!this.#contents.isComplete("private-keys")) {
      throw new CardError("a directory of private keys could not be read: a new key might replace another one");
    }
    for (let number: number = KEY_NUMBERS.first; number <= KEY_NUMBERS.last; number++) {
      if (!used.has(number)) return number;
    }
    throw new UnsupportedError("the card has no room for another key");
  }

  /** The given CKA_ID, or an unused one. */
  async #freeId(wanted: Uint8Array | undefined): Promise<Uint8Array> {
    const keys = await this.#keys();
    const isTaken = (id: Uint8Array): boolean => keys.some((key) => equalBytes(key.id, id));
    if (wanted && wanted.length > 0) {
      if (isTaken(wanted)) throw new UnsupportedError("a key with this CKA_ID is on the card already");
      return wanted;
    }
    let number = FIRST_KEY_ID;
    while (isTaken(Uint8Array.of(number)) && number < 0xff) number++;
    return Uint8Array.of(number);
  }

  async #keys(): Promise<readonly PrivateKeyEntry["key"][]> {
    const items = await this.#contents.directory("private-keys");
    return items.flatMap(({ entry }) => (entry.class === "private-key" ? [entry.key] : []));
  }
}

/**
 * The usual form of public keys on cards: RSA as its two numbers, a curve's point with its curve (OpenSC reads these).
 */
function storedKey(spki: Uint8Array): Uint8Array {
  const key = parsePublicKey(spki);
  if (key.type !== "rsa") return spki;
  return derSequence(derUnsigned(key.modulus), derUnsigned(key.publicExponent));
}
