import { followReaders } from "../../card/index.ts";
import type { ReaderState } from "../../pcsc/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { CardAccess } from "./inserted-card.ts";
import { Reader } from "./reader.ts";
import type { Token, TokenCard } from "./token.ts";

/** An application that wants to know what happens in the slots. */
export interface SlotListener {
  /** A token came or went, or the reader did. */
  slotChanged(slotID: number): void;
  /** A card went; its tokens are valid no more. */
  cardRemoved(card: TokenCard): void;
}

/** A slot: a reader, or for cards with several PINs a part of one. */
export interface Slot {
  readonly id: number;
  readonly reader: Reader;
  /** Which of the card's tokens it holds. */
  readonly index: number;
}

/**
 * The readers and cards that any number of applications share: their slots, connections, and what was read from the cards.
 * Slot IDs are given once and kept, also while nobody is attached. What the readers are is told by the resource manager's
 * events; only {@link slots} and {@link token} may turn to a card.
 */
export class SlotTable {
  readonly #access: CardAccess;
  readonly #readers = new Map<string, Reader>();
  readonly #listeners = new Set<SlotListener>();
  #watch: Watch | undefined;
  #nextID = 1;

  constructor(access: CardAccess) {
    this.#access = access;
  }

  /** Begins to tell `listener` of changes. The first one waits until the readers are known. */
  async attach(listener: SlotListener): Promise<void> {
    this.#watch ??= this.#startWatch();
    const watch = this.#watch;
    this.#listeners.add(listener);
    try {
      await watch.ready;
    } catch (error) {
      await this.detach(listener);
      throw error;
    }
  }

  /** The last one to leave ends the watch and the connections to the cards. */
  async detach(listener: SlotListener): Promise<void> {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.stop.abort();
    // At once, before anybody attaches again.
    const endings = [...this.#readers.values()].map((reader) => this.#update(reader, undefined));
    await Promise.all([watch?.ended, ...endings]);
  }

  /** All slots of the readers that are plugged in, after a look at the cards that nobody has looked at. */
  async slots(): Promise<readonly Slot[]> {
    const readers = [...this.#readers.values()].filter((reader) => reader.plugged);
    // One card that cannot be reached must not hide the others; C_GetTokenInfo says what is wrong with it.
    await Promise.allSettled(readers.map(async (reader) => reader.card?.tokens()));
    return readers.flatMap((reader) => reader.slotIDs.map((id, index) => ({ id, reader, index })));
  }

  /** @throws {CryptokiError} CKR_SLOT_ID_INVALID. */
  slot(id: number): Slot {
    for (const reader of this.#readers.values()) {
      const index = reader.allSlotIDs.indexOf(id);
      if (index >= 0) return { id, reader, index };
    }
    throw new CryptokiError(CKR.SLOT_ID_INVALID);
  }

  /**
   * The token in a slot.
   * @throws {CryptokiError} CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_PRESENT, CKR_TOKEN_NOT_RECOGNIZED; what the card throws.
   */
  async token(id: number): Promise<Token> {
    const { reader, index } = this.slot(id);
    const { card } = reader;
    if (!card) throw new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    const tokens = await card.tokens();
    const token = tokens[index];
    if (token) return token;
    throw new CryptokiError(tokens.length === 0 ? CKR.TOKEN_NOT_RECOGNIZED : CKR.TOKEN_NOT_PRESENT);
  }

  /** Somebody found out that a card is gone, before the resource manager told. */
  lost(card: TokenCard): void {
    if (card.gone) return;
    void card.end();
    for (const reader of this.#readers.values()) reader.renew(card);
    for (const listener of this.#listeners) listener.cardRemoved(card);
  }

  #startWatch(): Watch {
    const stop = new AbortController();
    let ended: Promise<void> = Promise.resolve();
    const ready = new Promise<void>((resolve, reject) => {
      ended = this.#follow(stop.signal, resolve).then(resolve, reject);
    });
    // Whoever attaches hears of a failure; nobody may be there any more.
    ready.catch(() => undefined);
    return { stop, ready, ended };
  }

  async #follow(signal: AbortSignal, told: () => void): Promise<void> {
    try {
      for await (const states of followReaders(this.#access.pcsc, signal)) {
        if (signal.aborted) return;
        this.#apply(states);
        told();
      }
    } finally {
      if (!signal.aborted) this.#apply([]);
    }
  }

  #apply(states: readonly ReaderState[]): void {
    const named = new Map(states.map((state) => [state.name, state]));
    for (const { name } of states) {
      if (!this.#readers.has(name)) this.#readers.set(name, new Reader(name, this.#access, () => this.#nextID++));
    }
    for (const reader of this.#readers.values()) void this.#update(reader, named.get(reader.name));
  }

  async #update(reader: Reader, state: ReaderState | undefined): Promise<void> {
    const { slots, removed } = reader.update(state);
    const ending = removed?.end();
    for (const listener of this.#listeners) {
      if (removed) listener.cardRemoved(removed);
      for (const slot of slots) listener.slotChanged(slot);
    }
    await ending;
  }
}

interface Watch {
  readonly stop: AbortController;
  /** The readers were told once. */
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}
