import { CardError, MalformedAnswerError, StatusError, SW } from "../apdu/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { DataError } from "../bytes/index.ts";
import { readCertificate } from "./certificate.ts";
import { type Chuid, CHUID_HEAD, readChuidHead } from "./chuid.ts";
import { getData, readData } from "./commands.ts";
import { CONTAINER, type Container } from "./containers.ts";
import { type KeyHistory, readKeyHistory } from "./key-history.ts";
import { type KeySlot, referenceName } from "./keys.ts";
import type { PivSession } from "./session.ts";

/** The data objects of a PIV card, each read when it is first asked for and once. */
export class PivStore {
  readonly #session: PivSession;
  readonly #objects = new Map<number, Promise<Uint8Array | undefined>>();
  /** Public keys of pairs made here: a new key has no certificate yet, and an old certificate is not its own. */
  readonly #generated = new Map<KeySlot, Uint8Array>();
  #chuid: Promise<Chuid> | undefined;
  #history: Promise<KeyHistory | undefined> | undefined;

  constructor(session: PivSession) {
    this.#session = session;
  }

  /**
   * The value of a data object, without its outer tag 53; undefined if the card has none.
   * @throws {StatusError} 6982 if the object is guarded by the PIN.
   */
  read(tag: number): Promise<Uint8Array | undefined> {
    return remember(this.#objects, tag, () => this.#fetch(tag));
  }

  async #fetch(tag: number): Promise<Uint8Array | undefined> {
    const { data, sw } = await this.#session.run((send) => send(getData(tag)));
    if (sw === SW.OK) return readData(tag, data);
    if (sw === SW.FILE_NOT_FOUND || sw === SW.REFERENCED_DATA_NOT_FOUND) return undefined;
    throw new StatusError(`GET DATA ${tag.toString(16).toUpperCase()}`, sw);
  }

  /** As {@link read}, for an object that must be there. */
  async require(container: Container): Promise<Uint8Array> {
    const value = await this.read(container.tag);
    if (!value) throw new StatusError(`GET DATA ${container.name}`, SW.FILE_NOT_FOUND);
    return value;
  }

  /** The certificate in `slot`, DER. */
  async certificate(slot: KeySlot): Promise<Uint8Array> {
    const name = `certificate ${referenceName(slot)}`;
    const value = await this.read(slot.certificate);
    if (!value) throw new StatusError(`GET DATA ${name}`, SW.FILE_NOT_FOUND);
    return parsed(name, () => readCertificate(value));
  }

  /** Remembers the public half of a key that the card has just made in `slot`. */
  keep(slot: KeySlot, publicKey: Uint8Array): void {
    this.#generated.set(slot, publicKey);
  }

  /** Remembers what the card has just been given under `tag`: the value of tag 53, empty if it was taken away. */
  wrote(tag: number, content: Uint8Array): void {
    this.#objects.set(tag, Promise.resolve(content.length === 0 ? undefined : Uint8Array.from(content)));
    if (tag === CONTAINER.CHUID.tag) this.#chuid = undefined;
    if (tag === CONTAINER.KEY_HISTORY.tag) this.#history = undefined;
  }

  /** Whether `slot` holds a key, as far as a card without a list of keys tells: by its certificate. */
  async hasKey(slot: KeySlot): Promise<boolean> {
    return this.#generated.has(slot) || (await this.read(slot.certificate)) !== undefined;
  }

  /** The public key of `slot`, out of its certificate: SubjectPublicKeyInfo DER. */
  async publicKey(slot: KeySlot): Promise<Uint8Array> {
    const generated = this.#generated.get(slot);
    if (generated) return generated;
    const certificate = await this.certificate(slot);
    return parsed(`certificate ${referenceName(slot)}`, () => parseCertificate(certificate).subjectPublicKeyInfo);
  }

  /**
   * The head of the CHUID: one exchange however long the object is. Empty if the card has none or a broken one, because
   * all that hangs on it is a serial number.
   */
  chuid(): Promise<Chuid> {
    return (this.#chuid ??= forgetFailure(this.#readChuid(), () => (this.#chuid = undefined)));
  }

  async #readChuid(): Promise<Chuid> {
    const { data } = await this.#session.run((send) => send(getData(CONTAINER.CHUID.tag), CHUID_HEAD));
    try {
      return readChuidHead(data);
    } catch (error) {
      if (error instanceof DataError) return {};
      throw error;
    }
  }

  /** The key history, or undefined if the card has none that can be read. */
  keyHistory(): Promise<KeyHistory | undefined> {
    return (this.#history ??= forgetFailure(this.#readHistory(), () => (this.#history = undefined)));
  }

  async #readHistory(): Promise<KeyHistory | undefined> {
    try {
      const value = await this.read(CONTAINER.KEY_HISTORY.tag);
      return value && readKeyHistory(value);
    } catch (error) {
      if (error instanceof CardError || error instanceof DataError) return undefined;
      throw error;
    }
  }
}

/** A failed read is not remembered: the next one may come after a login, or with the card back in place. */
function remember<K, V>(cache: Map<K, Promise<V>>, key: K, read: () => Promise<V>): Promise<V> {
  const known = cache.get(key);
  if (known) return known;
  const value = forgetFailure(read(), () => cache.delete(key));
  cache.set(key, value);
  return value;
}

function forgetFailure<V>(value: Promise<V>, forget: () => void): Promise<V> {
  value.catch(forget);
  return value;
}

/** What the card holds there does not parse: its fault, not the caller's. */
function parsed<T>(name: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the ${name} on the card does not parse: ${cause.message}`, { cause });
  }
}
