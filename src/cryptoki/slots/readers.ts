import { followReaders, type ReaderFacts } from "../../card/index.ts";
import type { ReaderState } from "../../pcsc/index.ts";
import { type ReaderSlot, type CardEnvironment, InsertedCard } from "./inserted-card.ts";
import type { Token } from "./token.ts";

/** What a change meant: slots whose application should look again, and a card that went. */
export interface ReaderChange {
  readonly slots: readonly number[];
  readonly removed: InsertedCard | undefined;
}

/** What a reader needs of whom it belongs to. */
interface ReaderOwner {
  /** Gives a slot ID that nobody had before. */
  allocate(): number;
  /** The card in the reader was looked at: slots besides its first that hold tokens. */
  found(first: number, further: readonly number[]): void;
}

/** A reader that was seen at least once. It keeps its slot IDs while it is unplugged. */
export class Reader implements ReaderSlot {
  readonly name: string;
  readonly facts: ReaderFacts = {};
  readonly #way: CardEnvironment;
  readonly #owner: ReaderOwner;
  readonly #slotIDs: number[] = [];
  #state: ReaderState | undefined;
  #card: InsertedCard | undefined;

  constructor(name: string, way: CardEnvironment, owner: ReaderOwner) {
    this.name = name;
    this.#way = way;
    this.#owner = owner;
    this.#slotIDs.push(owner.allocate());
  }

  get plugged(): boolean {
    return this.#state !== undefined;
  }

  get mute(): boolean {
    return this.#state?.mute ?? false;
  }

  /** The card that is in, as far as anybody knows. */
  get card(): InsertedCard | undefined {
    return this.#card?.gone === true ? undefined : this.#card;
  }

  /** The slot of the card's token number `index`: the same as long as the process lives. */
  slotID(index: number): number {
    return (this.#slotIDs[index] ??= this.#owner.allocate());
  }

  found(tokens: readonly Token[]): void {
    const [first, ...further] = tokens.map(({ slotID }) => slotID);
    if (first !== undefined && further.length > 0) this.#owner.found(first, further);
  }

  /** One slot, and one more for each further token of the card that is in. */
  get slotIDs(): readonly number[] {
    return this.#slotIDs.slice(0, Math.max(1, this.card?.tokenCount ?? 0));
  }

  /** Every ID that this reader ever gave. */
  get allSlotIDs(): readonly number[] {
    return this.#slotIDs;
  }

  /** The connection to `card` broke off. If it is still in, as far as the resource manager says, it is looked at anew. */
  renew(card: unknown): void {
    if (this.#card !== card || !this.#state?.present) return;
    this.#card = new InsertedCard(this.#way, this, this.#card?.tokenCount);
  }

  /** Takes note of what the resource manager says now; undefined when the reader is unplugged. */
  update(state: ReaderState | undefined): ReaderChange {
    const before = this.#state;
    const slots = this.slotIDs;
    const card = this.#card;
    this.#state = state;
    const same =
      before?.present === state?.present && before?.events === state?.events && (before === undefined) === !state;
    // A card that broke off is gone, even if the resource manager says afterwards that one is in: it is a new one.
    if (same && card?.gone !== true) return { slots: [], removed: undefined };
    this.#card = state?.present ? new InsertedCard(this.#way, this) : undefined;
    return { slots, removed: card };
  }
}

/** Whom a source's readers belong to. */
export interface SourceOwner extends ReaderOwner {
  /** Hears of every change, and of the end of every card. */
  changed(change: ReaderChange): void;
}

/** The readers that one resource manager knows, or one reader that a program brought along, while somebody follows them. */
export class ReaderSource {
  readonly #way: CardEnvironment;
  readonly #owner: SourceOwner;
  readonly #readers = new Map<string, Reader>();
  #watch: Watch | undefined;

  constructor(way: CardEnvironment, owner: SourceOwner) {
    this.#way = way;
    this.#owner = owner;
  }

  /** All that were ever seen, in the order in which they came. */
  get readers(): readonly Reader[] {
    return [...this.#readers.values()];
  }

  /**
   * Follows the readers, from the first call to {@link stop}; waits until they are known.
   * @throws {CardWayError}
   */
  start(): Promise<void> {
    this.#watch ??= this.#startWatch();
    return this.#watch.ready;
  }

  /** Ends the watch and the connections to the cards. */
  async stop(): Promise<void> {
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.stop.abort();
    // At once, before anybody starts again.
    const endings = this.readers.map((reader) => this.#update(reader, undefined));
    await Promise.all([watch?.ended, ...endings]);
  }

  #startWatch(): Watch {
    const stop = new AbortController();
    let ended: Promise<void> = Promise.resolve();
    const ready = new Promise<void>((resolve, reject) => {
      ended = this.#follow(stop.signal, resolve).then(resolve, reject);
    });
    // Whoever starts hears of a failure; nobody may be there any more.
    ready.catch(() => undefined);
    return { stop, ready, ended };
  }

  async #follow(signal: AbortSignal, told: () => void): Promise<void> {
    try {
      for await (const states of followReaders(this.#way.pcsc, signal)) {
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
      if (!this.#readers.has(name)) this.#readers.set(name, new Reader(name, this.#way, this.#owner));
    }
    for (const reader of this.#readers.values()) void this.#update(reader, named.get(reader.name));
  }

  async #update(reader: Reader, state: ReaderState | undefined): Promise<void> {
    const change = reader.update(state);
    const ending = change.removed?.end();
    this.#owner.changed(change);
    await ending;
  }
}

interface Watch {
  readonly stop: AbortController;
  /** The readers were told once. */
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}
