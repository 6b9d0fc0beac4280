import { type CardFinding, type CardOptions, type CardProfile, CardRecognition } from "../../card/index.ts";
import type { Pcsc } from "../../pcsc/types.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../errors.ts";
import type { CardEnvironment } from "./inserted-card.ts";
import { type Reader, type ReaderChange, ReaderSource } from "./readers.ts";
import type { Token, TokenCard } from "./token.ts";

/** The connection to cards, and the supported card applications. */
export interface CardAccess extends CardOptions {
  readonly pcsc: Pcsc;
  /** Profiles of card applications, the most common first: if a card carries several, the order decides. */
  readonly profiles: readonly CardProfile[];
}

/** An application that receives the events of the slots. */
export interface SlotListener {
  /** A token or a reader came or went. */
  slotChanged(slotID: number): void;
  /** The card in the reader whose first slot is `first` was examined: `further` slots hold tokens of it. */
  slotsFound(first: number, further: readonly number[]): void;
  /** A card was removed; its tokens are invalid. */
  cardRemoved(card: TokenCard): void;
  /** There is a finding on a card. */
  cardFinding(finding: CardFinding, reader: string): void;
  /** Whether it has a session with the token. */
  usesToken(token: Token): boolean;
  /** An application is about to leave a login that it shares: those with single sign-on keep it. */
  sharedLoginLeft(token: Token): void;
}

/** A slot: a reader, or for cards with several PINs a part of one. */
export interface Slot {
  readonly id: number;
  readonly reader: Reader;
  /** The number of its token on the card. */
  readonly index: number;
}

/**
 * The readers and cards that any number of applications share: their slots, connections, and what was read from the cards.
 * Slot IDs are given once and kept, also while no application is attached. What the readers are is told by the resource manager's
 * events; only `slots` and `token` may turn to a card.
 */
export class SlotTable {
  readonly #way: CardEnvironment;
  readonly #machine: ReaderSource;
  /** Readers that programs added. */
  readonly #added = new Set<ReaderSource>();
  readonly #listeners = new Set<SlotListener>();
  #nextID = 0;

  constructor({ profiles, ...access }: CardAccess) {
    this.#way = {
      ...access,
      recognition: new CardRecognition(profiles),
      findings: (finding, reader): void => {
        access.findings?.(finding, reader);
        for (const listener of this.#listeners) listener.cardFinding(finding, reader);
      },
    };
    this.#machine = this.#source(this.#way);
  }

  #source(way: CardEnvironment): ReaderSource {
    return new ReaderSource(way, {
      allocate: () => this.#nextID++,
      changed: (change) => {
        this.#tell(change);
      },
      found: (first, further) => {
        for (const listener of this.#listeners) listener.slotsFound(first, further);
      },
    });
  }

  /** Begins to tell `listener` of changes. The first one waits until the readers are known. @internal */
  async attach(listener: SlotListener): Promise<void> {
    const ready = this.#machine.start();
    this.#listeners.add(listener);
    try {
      await ready;
    } catch (error) {
      await this.detach(listener);
      throw error;
    }
  }

  /** The last one to leave ends the watch and the connections to the cards. @internal */
  async detach(listener: SlotListener): Promise<void> {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    await this.#machine.stop();
  }

  /**
   * Adds a program's own readers: they get slots beside those of the machine.
   * @throws {CardAccessError} if they cannot be followed.
   * @internal
   */
  async add(pcsc: Pcsc): Promise<ReaderSource> {
    const source = this.#source({ ...this.#way, pcsc });
    this.#added.add(source);
    try {
      await source.start();
    } catch (error) {
      await this.remove(source);
      throw error;
    }
    return source;
  }

  /** Takes what was added away, with its slots. @internal */
  async remove(source: ReaderSource): Promise<void> {
    if (!this.#added.has(source)) return;
    await source.stop();
    this.#added.delete(source);
  }

  get #readers(): readonly Reader[] {
    return [this.#machine, ...this.#added].flatMap(({ readers }) => readers);
  }

  /** All slots of the readers that are plugged in, after a look at the cards that were not looked at before. @internal */
  async slots(): Promise<readonly Slot[]> {
    const readers = this.#readers.filter((reader) => reader.plugged);
    // A card that cannot be reached must not hide the others; C_GetTokenInfo reports its error.
    await Promise.allSettled(readers.map(async (reader) => reader.card?.tokens()));
    return readers.flatMap((reader) => reader.slotIDs.map((id, index) => ({ id, reader, index })));
  }

  /** @throws {CryptokiError} CKR_SLOT_ID_INVALID. @internal */
  slot(id: number): Slot {
    for (const reader of this.#readers) {
      const index = reader.allSlotIDs.indexOf(id);
      if (index >= 0) return { id, reader, index };
    }
    throw new CryptokiError(CKR.SLOT_ID_INVALID);
  }

  /**
   * The token in a slot.
   * @throws {CryptokiError} CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED; what the card throws.
   * @internal
   */
  async token(id: number): Promise<Token> {
    const { reader, index } = this.slot(id);
    const { card } = reader;
    if (!card) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    const tokens = await card.tokens();
    const token = tokens[index];
    if (token) return token;
    if (tokens.length > 0) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    throw new CryptokiError(CKR.TOKEN_NOT_RECOGNIZED, card.unusable);
  }

  /** Whether any application has a session with the token. @internal */
  inUse(token: Token): boolean {
    return [...this.#listeners].some((listener) => listener.usesToken(token));
  }

  /**
   * An application leaves its shared login. Every application with a session adopts it, also one that has made no call
   * since.
   * @internal
   */
  leaveSharedLogin(token: Token): void {
    for (const listener of this.#listeners) listener.sharedLoginLeft(token);
  }

  /** Gives back what cards a caller has for himself. @internal */
  release(holder: object): void {
    for (const { card } of this.#readers) card?.reservation.release(holder);
  }

  /** A caller found out that a card is gone before the resource manager reported it. @internal */
  lost(card: TokenCard): void {
    if (card.gone) return;
    void card.end();
    for (const reader of this.#readers) reader.renew(card);
    for (const listener of this.#listeners) listener.cardRemoved(card);
  }

  /** The card is not what it was: in every application its sessions and handles end, and it is looked at anew. @internal */
  renew(card: TokenCard): void {
    const slots = this.#readers.find((reader) => reader.card === card)?.slotIDs ?? [];
    this.lost(card);
    for (const listener of this.#listeners) for (const slot of slots) listener.slotChanged(slot);
  }

  #tell({ slots, removed }: ReaderChange): void {
    for (const listener of this.#listeners) {
      if (removed) listener.cardRemoved(removed);
      for (const slot of slots) listener.slotChanged(slot);
    }
  }
}
