import { parseCertificate } from "../asn1/index.ts";
import { memoizeAsync } from "../async/index.ts";
import { ByteReader, concat, DataError, equalBytes, toHex } from "../bytes/index.ts";
import { type KeyType, type PublicStore, reliableStore } from "../card/index.ts";
import { keyTypeOf, parsePublicKey } from "../crypto/index.ts";
import { type Chuid, chuidNumber, CONTAINER, readCertificate } from "./data-objects.ts";
import { KEY_SLOTS } from "./keys.ts";

const CERTIFICATES: ReadonlySet<number> = new Set(KEY_SLOTS.map(({ certificate }) => certificate));
const HISTORY = CONTAINER.KEY_HISTORY.tag;
const NONE = new Uint8Array();

/** A copy has the tag of its object and the length of its value before the value: 3 bytes each. */
const NUMBER_LENGTH = 3;

/**
 * Copies of the certificates of one PIV card, from earlier processes. A card has no mark of a change of them, so a copy serves lists only:
 * the card confirms it before its value is shown, or a signature is verified with its key.
 */
export class CertificateCopies {
  readonly #store: PublicStore;
  readonly #key: () => Promise<string | undefined>;
  readonly #kept = memoizeAsync(() => this.#load());
  /** Tags of the copies that were taken and that the card has not confirmed. */
  readonly #unconfirmed = new Set<number>();
  /** Tags of those that were read from the card, or written to it, by this process. */
  readonly #read = new Set<number>();
  /** Tags of those that count no more. */
  readonly #dropped = new Set<number>();

  /**
   * @param atr The card's answer to reset.
   * @param chuid Tells the cards apart; without a number in it nothing is kept.
   */
  constructor(store: PublicStore, atr: Uint8Array, chuid: () => Promise<Chuid>) {
    this.#store = reliableStore(store);
    this.#key = async (): Promise<string | undefined> => {
      const told = await chuid();
      if (chuidNumber(told) === undefined) return undefined;
      const { fascn = NONE, guid = NONE } = told;
      return `piv ${toHex(atr)} ${toHex(fascn)} ${toHex(guid)}`;
    };
  }

  async #load(): Promise<Map<number, Uint8Array>> {
    const key = await this.#key();
    const bytes = key === undefined ? undefined : await this.#store.get(key);
    try {
      return readCopies(bytes ?? NONE);
    } catch (error) {
      if (error instanceof DataError) return new Map();
      throw error;
    }
  }

  /** The copy of the certificate object `tag`: the value of its tag 53. */
  async take(tag: number): Promise<Uint8Array | undefined> {
    if (!CERTIFICATES.has(tag) || this.#dropped.has(tag)) return undefined;
    const copy = (await this.#kept()).get(tag);
    if (copy) this.#unconfirmed.add(tag);
    return copy;
  }

  /** Keeps a copy of what was read from the card or written to it, a certificate or the key history; undefined if there is none. */
  async keep(tag: number, value: Uint8Array | undefined): Promise<void> {
    if (!CERTIFICATES.has(tag) && tag !== HISTORY) return;
    this.#unconfirmed.delete(tag);
    this.#dropped.delete(tag);
    this.#read.add(tag);
    const kept = await this.#kept();
    const old = kept.get(tag);
    if (old && value ? equalBytes(old, value) : old === value) return;
    if (value) kept.set(tag, value);
    else kept.delete(tag);
    await this.#save(kept);
  }

  async #save(kept: ReadonlyMap<number, Uint8Array>): Promise<void> {
    const key = await this.#key();
    if (key !== undefined) await this.#store.set(key, writeCopies(kept));
  }

  /** Whether the value of `tag` is a copy that the card has not confirmed. */
  isUnconfirmed(tag: number): boolean {
    return this.#unconfirmed.has(tag);
  }

  /** The card has this certificate. */
  confirmed(tag: number): void {
    this.#unconfirmed.delete(tag);
  }

  /** The card does not have this certificate any more, or may not. */
  drop(tag: number): void {
    this.#dropped.add(tag);
    this.#unconfirmed.delete(tag);
  }

  /** Whether there are copies of an earlier process. */
  async hasAny(): Promise<boolean> {
    return [...(await this.#kept()).keys()].some((tag) => tag !== HISTORY && !this.#read.has(tag));
  }

  /**
   * Drops the copies of earlier processes, unless the card's key history is the one that was read with them.
   * @param history Undefined for a card without one.
   * @returns The tags of the copies that were taken, and are not to be trusted.
   */
  async compareHistory(history: Uint8Array | undefined): Promise<readonly number[]> {
    const kept = await this.#kept();
    const old = kept.get(HISTORY) ?? NONE;
    const taken = [...this.#unconfirmed];
    if (equalBytes(old, history ?? NONE)) return [];
    for (const tag of CERTIFICATES) if (!this.#read.has(tag)) kept.delete(tag);
    this.#unconfirmed.clear();
    await this.keep(HISTORY, history);
    return taken;
  }

  /** The type of the key in a copy, without taking it; undefined for a key that signs by PSS alone, and if there is no copy that parses. */
  async keyType(tag: number): Promise<KeyType | undefined> {
    const copy = this.#dropped.has(tag) ? undefined : (await this.#kept()).get(tag);
    if (!copy) return undefined;
    try {
      const { subjectPublicKeyInfo } = parseCertificate(await readCertificate(copy));
      const key = parsePublicKey(subjectPublicKeyInfo);
      return key.type === "rsa" && key.pss !== undefined ? undefined : keyTypeOf(subjectPublicKeyInfo);
    } catch (error) {
      if (error instanceof DataError) return undefined;
      throw error;
    }
  }

  /** The CHUID changes: the copies are those of another card. */
  forget(): void {
    this.#kept.clear();
    for (const set of [this.#unconfirmed, this.#read, this.#dropped]) set.clear();
  }
}

function readCopies(bytes: Uint8Array): Map<number, Uint8Array> {
  const reader = new ByteReader(bytes, "copies");
  const copies = new Map<number, Uint8Array>();
  while (reader.remaining > 0) {
    const tag = readNumber(reader.take(NUMBER_LENGTH));
    copies.set(tag, reader.take(readNumber(reader.take(NUMBER_LENGTH))));
  }
  return copies;
}

function writeCopies(copies: ReadonlyMap<number, Uint8Array>): Uint8Array {
  return concat(...[...copies].flatMap(([tag, value]) => [numberBytes(tag), numberBytes(value.length), value]));
}

const readNumber = (bytes: Uint8Array): number => bytes.reduce((sum, byte) => 256 * sum + byte, 0);
const numberBytes = (number: number): Uint8Array =>
  Uint8Array.of((number >> 16) & 0xff, (number >> 8) & 0xff, number & 0xff);
