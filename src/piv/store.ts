import {
  encodeTlv,
  isExecutionError,
  MalformedAnswerError,
  type ResponseApdu,
  StatusError,
  SW,
} from "../apdu/index.ts";
import { parseCertificate } from "../asn1/index.ts";
import { memoizeAsync, MemoizedMap } from "../async/index.ts";
import { DataError, equalBytes } from "../bytes/index.ts";
import {
  confirmedAnswer,
  isMalformed,
  isNotFound,
  type KeyType,
  type PublicStore,
  readTwiceIfMalformed,
  unlessRefused,
} from "../card/index.ts";
import { CertificateCopies } from "./certificate-copies.ts";
import {
  type Chuid,
  CHUID_HEAD,
  CONTAINER,
  type Container,
  type KeyHistory,
  readCertificate,
  readChuidHead,
  readKeyHistory,
} from "./data-objects.ts";
import { getData, readData } from "./commands.ts";
import { KEY_SLOTS, type KeySlot, NAMED_SLOTS, referenceName, RETIRED_SLOTS } from "./keys.ts";
import { type KeyReport, KeyReports, NO_KEY } from "./metadata.ts";
import { readUsableKey, type UsableKey } from "./private-key.ts";
import type { PivSession } from "./session.ts";
import { getSerial, type KeyMetadata, type KeyPinPolicy, pinPolicyOf, readSerial } from "./yubico.ts";

const PRIVATE_TAGS: ReadonlySet<number> = new Set(
  Object.values(CONTAINER)
    .filter(({ pin }) => pin)
    .map(({ tag }) => tag),
);

/** Bytes of a certificate's object that are compared with a copy of it: as many as a short answer has. */
const CERTIFICATE_HEAD = 256;

/** Whether `whole` begins with `head`, which has at least {@link CERTIFICATE_HEAD} bytes, or is all of it. */
function beginsWith(whole: Uint8Array, head: Uint8Array, isAll: boolean): boolean {
  const isLong = isAll ? head.length === whole.length : head.length >= CERTIFICATE_HEAD && head.length < whole.length;
  return isLong && equalBytes(whole.subarray(0, head.length), head);
}

/** The data objects of a PIV card, each read on first use and cached. */
export class PivStore {
  readonly #session: PivSession;
  /** Copies of certificates from earlier processes, if there is a store for them. */
  readonly #copies: CertificateCopies | undefined;
  /** Types of keys, by copies of their certificates. */
  readonly #foreseen = new Map<KeySlot, KeyType>();
  readonly #objects = new MemoizedMap((tag: number) => this.#fetch(tag));
  /** Tags of the objects found on the card so far. */
  readonly #found = new Set<number>();
  /** Tags of objects that were read twice, because they did not parse. */
  readonly #readAgain = new Set<number>();
  /** The card's metadata of its keys. */
  readonly reports: KeyReports;
  #privateWrites = 0;
  /**
   * Public keys of pairs generated here: a new key has no certificate yet, and an old certificate belongs to another
   * key.
   */
  readonly #generated = new Map<KeySlot, Uint8Array>();
  /** When keys that were made or brought here want the PIN, where the caller said so. */
  readonly #policies = new Map<KeySlot, KeyPinPolicy>();
  /** The slots of keys that were generated here. */
  readonly #made = new Set<KeySlot>();
  /** Attestations of keys: certificates in DER, until something changes of the key. */
  readonly attestations = new Map<KeySlot, Uint8Array>();
  /** Keys as they are used, until something changes of what they were read from. */
  readonly #keys = new Map<KeySlot, UsableKey>();
  #keyChanges = 0;
  /**
   * The first fields of the CHUID: one exchange for an object of any length. Empty if the card has none or a malformed
   * one, because only the serial number depends on it.
   */
  readonly chuid = memoizeAsync(() => unlessMalformed<Chuid>(() => this.#readChuid(), {}));
  /** The serial number of the device, if the card supports Yubico's command for it. */
  readonly deviceSerial = memoizeAsync(() => this.#readDeviceSerial());
  /** The key history, or undefined if the card has none that can be read. */
  readonly keyHistory = memoizeAsync(() => unlessMalformed(() => this.#readHistory(), undefined));

  /** @param store For copies of certificates, between processes. */
  constructor(session: PivSession, store?: PublicStore) {
    this.#session = session;
    this.#copies = store && new CertificateCopies(store, session.card.atr, () => this.chuid());
    this.reports = new KeyReports(session, (slot) => {
      this.#keyChanged(slot);
    });
  }

  /**
   * The value of a data object, without its outer tag 53; undefined if the card has none.
   * @throws {StatusError} 6982 if the object needs the PIN.
   */
  read(tag: number): Promise<Uint8Array | undefined> {
    return this.#objects.get(tag);
  }

  async #fetch(tag: number): Promise<Uint8Array | undefined> {
    const copy = await this.#copies?.take(tag);
    if (!copy) return this.#fetchFromCard(tag);
    this.#found.add(tag);
    return copy;
  }

  async #fetchFromCard(tag: number): Promise<Uint8Array | undefined> {
    const { data, sw } = await this.#session.run((send) => send(getData(tag)));
    if (sw !== SW.OK && !isNotFound(sw)) throw refusal(tag, sw);
    const value = sw === SW.OK ? readData(tag, data) : undefined;
    if (value) this.#found.add(tag);
    await this.#copies?.keep(tag, value);
    return value;
  }

  /** Keeps what was just written under `tag` for later processes. */
  async keepCopy(tag: number, content: Uint8Array): Promise<void> {
    await this.#copies?.keep(tag, content.length === 0 ? undefined : Uint8Array.from(content));
  }

  /** Has the types of keys known from the copies of their certificates. A card with metadata of its keys tells them itself. */
  async foresee(): Promise<void> {
    if (!this.#copies || this.reports.areExpected) return;
    for (const slot of KEY_SLOTS) {
      const type = await this.#copies.keyType(slot.certificate);
      if (type) this.#foreseen.set(slot, type);
    }
  }

  /** The type of the key in `slot`, if a copy of its certificate tells it. */
  foreseenType(slot: KeySlot): KeyType | undefined {
    return this.#foreseen.get(slot);
  }

  /** Whether the certificate in `slot` is a copy that the card has not confirmed: its key may be another one now. */
  isCopy(slot: KeySlot): boolean {
    return !this.#generated.has(slot) && (this.#copies?.isUnconfirmed(slot.certificate) ?? false);
  }

  /**
   * Has the card confirm a copy of the certificate in `slot`, by the first bytes of the object: they have its serial number and its dates. One
   * exchange, and only if there is such a copy. A copy that differs is forgotten, and the certificate read anew when it is wanted.
   */
  async confirm(slot: KeySlot): Promise<void> {
    const { certificate: tag } = slot;
    if (!this.#copies?.isUnconfirmed(tag)) return;
    const copy = (await this.read(tag)) ?? new Uint8Array();
    const { data, sw } = await this.#session.run((send) => send(getData(tag), CERTIFICATE_HEAD));
    const isRight = sw === SW.OK || sw >> 8 === SW.BYTES_AVAILABLE >> 8;
    if (isRight && beginsWith(encodeTlv(0x53, copy), data, sw === SW.OK)) this.#copies.confirmed(tag);
    else this.forget(tag);
  }

  /** Before a list: copies of a card with another key history do not count. */
  async #checkCopies(named: boolean): Promise<void> {
    if (!named && (await this.#copies?.hasAny())) await this.keyHistory();
  }

  async #compareHistory(value: Uint8Array | undefined): Promise<void> {
    for (const tag of (await this.#copies?.compareHistory(value)) ?? []) this.#forgetObject(tag);
  }

  /** As {@link read}, for an object that must exist. */
  async mustGet(container: Container): Promise<Uint8Array> {
    const value = await this.read(container.tag);
    if (!value) throw new StatusError(`GET DATA ${container.name}`, SW.FILE_NOT_FOUND);
    return value;
  }

  /** The certificate in `slot`, DER. */
  async certificate(slot: KeySlot): Promise<Uint8Array> {
    if (this.#copies) await this.read(slot.certificate);
    await this.confirm(slot);
    return this.#parsed(slot, readCertificate);
  }

  /**
   * Returns the result of `parse` for the certificate object of `slot`. A parse error is the card's fault, not the
   * caller's; the object is read once more before it counts.
   */
  async #parsed<T>(slot: KeySlot, parse: (value: Uint8Array) => Promise<T>): Promise<T> {
    const name = `certificate ${referenceName(slot)}`;
    try {
      return await readTwiceIfMalformed(async () => {
        const value = await this.read(slot.certificate);
        if (!value) throw new StatusError(`GET DATA ${name}`, SW.FILE_NOT_FOUND);
        try {
          return await parse(value);
        } catch (error) {
          if (!this.#readAgain.has(slot.certificate)) this.#objects.delete(slot.certificate);
          this.#copies?.drop(slot.certificate);
          this.#readAgain.add(slot.certificate);
          this.#keyChanged(slot);
          throw error;
        }
      });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new MalformedAnswerError(`the ${name} on the card does not parse: ${cause.message}`, { cause });
    }
  }

  /**
   * Remembers the public half of a key that the card has just made in `slot`.
   * @param pin When it wants the PIN, if the caller said so.
   */
  made(slot: KeySlot, publicKey: Uint8Array, pin?: KeyPinPolicy): void {
    this.imported(slot, publicKey, pin);
    this.#made.add(slot);
  }

  /** Likewise, of a key that was brought there. */
  imported(slot: KeySlot, publicKey: Uint8Array, pin?: KeyPinPolicy): void {
    this.#forgetKey(slot);
    if (pin) this.#policies.set(slot, pin);
    this.keep(slot, publicKey);
  }

  /** Stores the public key of `slot` before its certificate is deleted. */
  keep(slot: KeySlot, publicKey: Uint8Array): void {
    this.#generated.set(slot, publicKey);
    this.reports.forget(slot);
  }

  /** Caches the object that was just written under `tag`: the value of tag 53, empty if it was deleted. */
  wrote(tag: number, content: Uint8Array): void {
    this.#forgetObject(tag);
    if (PRIVATE_TAGS.has(tag)) this.#privateWrites++;
    this.#objects.set(tag, content.length === 0 ? undefined : Uint8Array.from(content));
    if (content.length > 0) this.#found.add(tag);
  }

  /** Forgets an object, and the key of a certificate: another program may have written them unnoticed. */
  forget(tag: number): void {
    this.#forgetObject(tag);
    for (const slot of KEY_SLOTS) if (slot.certificate === tag) this.reports.forget(slot);
  }

  #certificateChanged(tag: number): void {
    for (const slot of KEY_SLOTS) if (slot.certificate === tag) this.#keyChanged(slot);
  }

  #keyChanged(slot: KeySlot): void {
    this.#foreseen.delete(slot);
    this.#keys.delete(slot);
    this.attestations.delete(slot);
    this.#keyChanges++;
  }

  #forgetObject(tag: number): void {
    this.#objects.delete(tag);
    this.#found.delete(tag);
    this.#readAgain.delete(tag);
    this.#copies?.drop(tag);
    this.#certificateChanged(tag);
    if (tag === CONTAINER.CHUID.tag) {
      this.chuid.clear();
      this.#copies?.forget();
    }
    if (tag === CONTAINER.KEY_HISTORY.tag) this.keyHistory.clear();
  }

  /** Number of objects that this process wrote and that cannot be read without the PIN. */
  get privateWrites(): number {
    return this.#privateWrites;
  }

  /** As {@link read}, but always from the card, and updates the cache: another program may have written it. */
  async renew(tag: number): Promise<Uint8Array | undefined> {
    const value = await this.#fetchFromCard(tag);
    const isKnown = this.#objects.has(tag);
    const known = isKnown ? await this.#objects.get(tag).catch(() => undefined) : undefined;
    if (isKnown && (known && value ? equalBytes(known, value) : known === value)) return value;
    this.#forgetObject(tag);
    this.#objects.set(tag, value);
    const slot = KEY_SLOTS.find(({ certificate }) => certificate === tag);
    // The certificate belongs to another key than the one generated here.
    if (slot && isKnown && value && (await this.#keyWithoutCertificate(slot))) this.#forgetKey(slot);
    return value;
  }

  /** Reads the metadata of the key in `slot` again: another program may have generated one. */
  async renewReport(slot: KeySlot): Promise<KeyReport> {
    const report = await this.reports.renew(slot);
    const own = this.#generated.get(slot);
    const told = report === NO_KEY ? new Uint8Array() : report?.publicKey;
    if (own && told && !equalBytes(own, told)) this.#forgetKey(slot);
    return report;
  }

  /** Has the key in `slot` asked for again: it may be another one, or none. */
  forgetKey(slot: KeySlot): void {
    this.#forgetKey(slot);
    this.reports.forget(slot);
  }

  #forgetKey(slot: KeySlot): void {
    this.#generated.delete(slot);
    this.#made.delete(slot);
    this.#policies.delete(slot);
    this.#keyChanged(slot);
  }

  /**
   * The public key of a pair generated here, if the certificate in `slot` belongs to another key: SubjectPublicKeyInfo,
   * DER.
   */
  async madeKey(slot: KeySlot): Promise<Uint8Array | undefined> {
    return this.#made.has(slot) ? this.#keyWithoutCertificate(slot) : undefined;
  }

  async #keyWithoutCertificate(slot: KeySlot): Promise<Uint8Array | undefined> {
    const own = this.#generated.get(slot);
    if (!own) return undefined;
    const certified = await unlessRefused(() => this.#certifiedKey(slot));
    return certified && equalBytes(own, certified) ? undefined : own;
  }

  /** Whether the key in `slot` was generated here since the card was found. */
  wasGenerated(slot: KeySlot): boolean {
    return this.#made.has(slot);
  }

  /** The metadata of the key in `slot`; undefined if the card has none. Costs an exchange if it has some. */
  async metadata(slot: KeySlot): Promise<KeyMetadata | undefined> {
    return this.#generated.has(slot) ? undefined : this.reported(slot);
  }

  /** As {@link metadata}, also of a key that was made or brought here: the card knows its policies. */
  async reported(slot: KeySlot): Promise<KeyMetadata | undefined> {
    if (!this.reports.areExpected) return undefined;
    const report = await this.reports.of(slot);
    return report === NO_KEY ? undefined : report;
  }

  /** When the key in `slot` needs the PIN, as far as is known. */
  pinPolicy(slot: KeySlot): KeyPinPolicy {
    const report = this.reports.known(slot);
    const told = report === undefined || report === NO_KEY ? undefined : pinPolicyOf(report.pinPolicy);
    return told ?? this.#policies.get(slot) ?? slot.pin;
  }

  /**
   * Whether a search for everything reads a retired slot: all those that the key history object counts. Keys fill the
   * slots from the first on (SP 800-73-4 part 1 section 3.3.3). Programs for cards with Yubico's commands write no such
   * object and use any slot, most of them the first free one: on these cards a few slots are read before the key
   * history, and no others if they are empty. If one is used, and there is no key history, every slot may hold a key.
   * @param number Of the retired key, from 1.
   */
  async expectsRetired(slot: KeySlot, number: number, what: "key" | "certificate"): Promise<boolean> {
    if (this.#isKnownUsed(slot)) return true;
    const isYubico = this.reports.hasYubicoCommands;
    if (isYubico && !(await this.#usesRetiredPlaces())) return false;
    const history = await this.keyHistory();
    if (!history) return isYubico;
    const offCard = what === "key" && this.reports.areExpected ? history.offCard : 0;
    return number <= history.onCard + offCard;
  }

  /**
   * Whether a retired slot is known to be used, or one of the first slots is: the first of all, and two more for each
   * named slot that is empty, whose certificate would have cost more. So a listing costs about the same on every card.
   */
  async #usesRetiredPlaces(): Promise<boolean> {
    if (RETIRED_SLOTS.some((slot) => this.#isKnownUsed(slot))) return true;
    const empty = NAMED_SLOTS.filter((slot) => this.#isKnownEmpty(slot)).length;
    for (const slot of RETIRED_SLOTS.slice(0, 1 + 2 * empty)) if (await this.hasPrivateKey(slot, false)) return true;
    return false;
  }

  /** Whether `slot` is known, without an exchange, to hold a key or a certificate. */
  #isKnownUsed(slot: KeySlot): boolean {
    const report = this.reports.known(slot);
    return (
      this.#generated.has(slot) || this.#found.has(slot.certificate) || (report !== undefined && report !== NO_KEY)
    );
  }

  /** Whether `slot` is known, without an exchange, to hold no key or no certificate. */
  #isKnownEmpty(slot: KeySlot): boolean {
    if (this.#generated.has(slot)) return false;
    const lacksCertificate = this.#objects.has(slot.certificate) && !this.#found.has(slot.certificate);
    return lacksCertificate || this.reports.known(slot) === NO_KEY;
  }

  /** Whether `slot` holds a certificate. For an absent retired key, no certificate is read unless `named`. */
  async hasCertificate(slot: KeySlot, named: boolean): Promise<boolean> {
    await this.#checkCopies(named);
    const absent = slot.retired !== undefined && !named && this.reports.areExpected && (await this.#lacksKey(slot));
    if (absent && !this.#objects.has(slot.certificate)) return false;
    return (await this.read(slot.certificate)) !== undefined;
  }

  /** Whether `slot` has a public key: that of its private key, or of its certificate. */
  async hasPublicKey(slot: KeySlot, named: boolean): Promise<boolean> {
    // Cached data cost no exchange.
    if (this.#generated.has(slot) || (await this.#knownCertificate(slot))) return true;
    return (
      (await this.hasPrivateKey(slot, named)) || (this.reports.areExpected && (await this.hasCertificate(slot, named)))
    );
  }

  /**
   * Whether `slot` holds a key: by its metadata if the card has them, else by the certificate. Without a certificate
   * and without an announcement of the command, the card is asked once anyway.
   * @param named Otherwise a certificate proves the key that needs no PIN: programs list it without a login, and its
   *   use asks the card.
   */
  async hasPrivateKey(slot: KeySlot, named: boolean): Promise<boolean> {
    await this.#checkCopies(named);
    if (this.#generated.has(slot)) return true;
    if (!named && slot.pin === "never" && !this.reports.known(slot) && (await this.#knownCertificate(slot)))
      return true;
    if (this.reports.areExpected) {
      const report = await this.reports.of(slot);
      if (report) return report !== NO_KEY;
    }
    if ((await this.read(slot.certificate)) !== undefined) return true;
    const report = await this.reports.of(slot);
    return report !== undefined && report !== NO_KEY;
  }

  async #lacksKey(slot: KeySlot): Promise<boolean> {
    return !this.#generated.has(slot) && (await this.reports.of(slot)) === NO_KEY;
  }

  async #knownCertificate(slot: KeySlot): Promise<Uint8Array | undefined> {
    return this.#objects.has(slot.certificate) ? this.read(slot.certificate) : undefined;
  }

  /**
   * The public key of `slot`: SubjectPublicKeyInfo, DER. It comes from the key's metadata, which are shorter than the
   * certificate and always match the key, or else from the certificate.
   * @param prefers A cached certificate serves as well for a public key, and costs no exchange.
   */
  publicKey(slot: KeySlot, prefers: "key" | "certificate"): Promise<Uint8Array> {
    return this.#publicKey(slot, prefers, async () => {
      if (this.#copies) await this.read(slot.certificate);
      await this.confirm(slot);
    });
  }

  /** @param trust Called before a certificate is relied on. */
  async #publicKey(
    slot: KeySlot,
    prefers: "key" | "certificate",
    trust: () => Promise<void> = () => Promise.resolve(),
  ): Promise<Uint8Array> {
    const generated = this.#generated.get(slot);
    if (generated) return generated;
    const report = this.reports.known(slot);
    const isCertificateEnough = prefers === "certificate" && !report && (await this.#knownCertificate(slot));
    const metadata = report !== NO_KEY && report ? report : isCertificateEnough ? undefined : await this.metadata(slot);
    if (metadata?.publicKey) return metadata.publicKey;
    await trust();
    return this.#certifiedKey(slot);
  }

  /**
   * The key in `slot` for its use. It is read and parsed once, until the card or this process changes it. It may come from a copy of its
   * certificate ({@link isCopy}): the caller checks the result, or has the copy confirmed before.
   * @throws {MalformedAnswerError} for a key that does not parse; as {@link publicKey}.
   */
  async usableKey(slot: KeySlot): Promise<UsableKey> {
    const known = this.#keys.get(slot);
    if (known) return known;
    const changes = this.#keyChanges;
    const spki = await this.#publicKey(slot, "key");
    const key = readUsableKey({ ...slot, pin: this.pinPolicy(slot) }, spki);
    if (changes === this.#keyChanges) this.#keys.set(slot, key);
    return key;
  }

  #certifiedKey(slot: KeySlot): Promise<Uint8Array> {
    return this.#parsed(slot, async (value) => parseCertificate(await readCertificate(value)).subjectPublicKeyInfo);
  }

  async #readChuid(): Promise<Chuid> {
    const { tag } = CONTAINER.CHUID;
    const { data, sw } = await this.#session.run((send) => send(getData(tag), CHUID_HEAD));
    if (isNotFound(sw) || sw === SW.SECURITY_STATUS_NOT_SATISFIED) return {};
    if (sw !== SW.OK && sw >> 8 !== SW.BYTES_AVAILABLE >> 8) throw refusal(tag, sw);
    return readChuidHead(data);
  }

  /** Cards without the command refuse it in different ways; an execution error may affect one exchange only. */
  async #readDeviceSerial(): Promise<string | undefined> {
    const ask = (): Promise<ResponseApdu> => this.#session.run((send) => send(getSerial()));
    let answer = await ask();
    if (isExecutionError(answer.sw)) answer = await ask();
    return answer.sw === SW.OK ? readSerial(answer.data) : undefined;
  }

  /**
   * Cards from before SP 800-73-3, which introduced the object, refuse it in different ways, and do so again. An
   * execution error says nothing about the object.
   */
  async #readHistory(): Promise<KeyHistory | undefined> {
    const { tag } = CONTAINER.KEY_HISTORY;
    const ask = (): Promise<ResponseApdu> => this.#session.run((send) => send(getData(tag)));
    const { data, sw } = await confirmedAnswer(ask);
    if (isExecutionError(sw)) throw refusal(tag, sw);
    const value = sw === SW.OK ? readData(tag, data) : undefined;
    await this.#compareHistory(value);
    if (sw !== SW.OK) return undefined;
    this.#objects.set(tag, value);
    return value && readKeyHistory(value);
  }
}

/** The result of `read` at the first or second attempt, or `otherwise` if both do not parse. */
async function unlessMalformed<T>(read: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await readTwiceIfMalformed(read);
  } catch (error) {
    if (isMalformed(error)) return otherwise;
    throw error;
  }
}

function refusal(tag: number, sw: number): StatusError {
  return new StatusError(`GET DATA ${tag.toString(16).toUpperCase()}`, sw);
}
