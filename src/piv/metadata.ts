import { isExecutionError, StatusError, SW } from "../apdu/index.ts";
import { MemoizedMap } from "../async/index.ts";
import { isNotFound } from "../card/index.ts";
import { type KeySlot, referenceName } from "./keys.ts";
import type { PivSession } from "./session.ts";
import { getMetadata, type KeyMetadata, readKeyMetadata } from "./yubico.ts";

/** The card has metadata, and no key in this place. */
export const NO_KEY = Symbol("no key");

/** What a card with Yubico's commands says of a key; undefined where it says nothing. */
export type KeyReport = KeyMetadata | typeof NO_KEY | undefined;

/**
 * The metadata of a card's keys (GET METADATA), each asked for once. A card that does not announce the command is asked once at most
 * if it refuses it: its first answer says whether it knows the command.
 */
export class KeyReports {
  readonly #session: PivSession;
  readonly #changed: (slot: KeySlot) => void;
  readonly #reports = new MemoizedMap((slot: KeySlot) => this.#ask(slot));
  /** Those that have arrived. */
  readonly #arrived = new Map<KeySlot, KeyReport>();
  /** Whether the card knows the command; undefined while only its announcement speaks for it, or nothing does. */
  #known: boolean | undefined;
  /** The card says that it has no such place for a key: the others of its kind need not be asked for. */
  #withoutRetiredKeys = false;

  /** @param changed Called when what is known of the key in a slot changes. */
  constructor(session: PivSession, changed: (slot: KeySlot) => void) {
    this.#session = session;
    this.#changed = changed;
  }

  /** Whether the card has commands that Yubico added, be they only older ones: its programs use the retired places freely, and keep no key history. */
  get hasYubicoCommands(): boolean {
    return this.areExpected || this.#session.announcesYubicoCommands;
  }

  /** Whether the card can be expected to answer: it has done so, or announces that it does. */
  get areExpected(): boolean {
    return this.#known ?? this.#session.announcesYubicoCommands;
  }

  /**
   * What the card says of the key in `slot`.
   * @throws {StatusError} if a card that knows the command fails; {MalformedAnswerError}.
   */
  of(slot: KeySlot): Promise<KeyReport> {
    return this.#reports.get(slot);
  }

  /** What is known of the key in `slot` without an exchange. */
  known(slot: KeySlot): KeyReport {
    return this.#arrived.get(slot);
  }

  /** There may be another key in `slot` now. */
  forget(slot: KeySlot): void {
    this.#reports.delete(slot);
    this.#arrived.delete(slot);
    this.#changed(slot);
  }

  /** Asks for the key in `slot` again: another program may have changed it. Errors as of {@link of}. */
  async renew(slot: KeySlot): Promise<KeyReport> {
    const report = await this.#ask(slot);
    this.#reports.set(slot, report);
    return report;
  }

  async #ask(slot: KeySlot): Promise<KeyReport> {
    const report = await this.#read(slot);
    this.#arrived.set(slot, report);
    this.#changed(slot);
    return report;
  }

  async #read(slot: KeySlot): Promise<KeyReport> {
    if (this.#known === false) return undefined;
    if (this.#withoutRetiredKeys && slot.retired !== undefined) return NO_KEY;
    const { data, sw } = await this.#session.run((send) => send(getMetadata(slot.reference)));
    if (sw === SW.OK) {
      this.#known = true;
      return readKeyMetadata(data);
    }
    // Only a card that knows the command says anything about the key by a refusal.
    if (this.areExpected) {
      if (isNotFound(sw)) return NO_KEY;
      if (isExecutionError(sw)) throw new StatusError(`GET METADATA ${referenceName(slot)}`, sw);
      if (this.#known === true) {
        this.#withoutRetiredKeys ||= slot.retired !== undefined;
        return NO_KEY;
      }
    }
    this.#known = false;
    return undefined;
  }
}
