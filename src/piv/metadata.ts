import { isExecutionError, StatusError, SW } from "../apdu/index.ts";
import { MemoizedMap } from "../async/index.ts";
import { isNotFound } from "../card/index.ts";
import { type KeySlot, referenceName } from "./keys.ts";
import type { PivSession } from "./session.ts";
import { getMetadata, type KeyMetadata, readKeyMetadata } from "./yubico.ts";

/** The card has metadata, but no key in this slot. */
export const NO_KEY = Symbol("no key");

/** What a card with Yubico's commands reports of a key; undefined if it reports nothing. */
export type KeyReport = KeyMetadata | typeof NO_KEY | undefined;

/**
 * The metadata of a card's keys (GET METADATA), each read once. If a card that does not announce the command refuses
 * it, the command is not sent again.
 */
export class KeyReports {
  readonly #session: PivSession;
  readonly #changed: (slot: KeySlot) => void;
  readonly #reports = new MemoizedMap((slot: KeySlot) => this.#ask(slot));
  /** The metadata read so far. */
  readonly #arrived = new Map<KeySlot, KeyReport>();
  /** Whether the card supports the command; undefined before its first answer. */
  #known: boolean | undefined;
  /** Whether the card reports that it has no such slot: the other slots of its kind are then not queried. */
  #withoutRetiredKeys = false;

  /** @param changed Called when what is known of the key in a slot changes. */
  constructor(session: PivSession, changed: (slot: KeySlot) => void) {
    this.#session = session;
    this.#changed = changed;
  }

  /**
   * Whether the card has commands that Yubico added, also older ones: programs for such cards use the retired slots
   * freely, and keep no key history.
   */
  get hasYubicoCommands(): boolean {
    return this.areExpected || this.#session.announcesYubicoCommands;
  }

  /** Whether the card can be expected to answer: it has answered before, or announces the command. */
  get areExpected(): boolean {
    return this.#known ?? this.#session.announcesYubicoCommands;
  }

  /**
   * Reads the metadata of the key in `slot`.
   * @throws {StatusError} if a card that knows the command fails; {MalformedAnswerError}.
   */
  of(slot: KeySlot): Promise<KeyReport> {
    return this.#reports.get(slot);
  }

  /** The metadata of the key in `slot` that are known without an exchange. */
  known(slot: KeySlot): KeyReport {
    return this.#arrived.get(slot);
  }

  /** Forgets the metadata of `slot`, whose key may have changed. */
  forget(slot: KeySlot): void {
    this.#reports.delete(slot);
    this.#arrived.delete(slot);
    this.#changed(slot);
  }

  /**
   * Reads the metadata of the key in `slot` again: another program may have changed the key. Errors as for {@link of}.
   */
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
    // Only if the card supports the command does a refusal say anything about the key.
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
