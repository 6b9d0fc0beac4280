import { CHANNELS } from "../../channels/index.ts";
import { toHex } from "../../bytes/index.ts";
import { followReaders, type ReaderFacts } from "../../card/index.ts";
import type { ReaderState } from "../../pcsc/types.ts";
import { type ReaderSlot, type CardEnvironment, InsertedCard } from "./inserted-card.ts";
import type { Token } from "./token.ts";

/** The effects of a change: slots with events, and a card that was removed. */
export interface ReaderChange {
  readonly slots: readonly number[];
  readonly removed: InsertedCard | undefined;
}

/** What a reader needs of its source. */
interface ReaderOwner {
  /** Returns a new slot ID. */
  allocate(): number;
  /** Called when the reader's card was examined: slots besides its first that hold tokens. */
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

  /** What the resource manager reported last. */
  get state(): ReaderState | undefined {
    return this.#state;
  }

  get mute(): boolean {
    return this.#state?.mute ?? false;
  }

  /** The present card, as far as is known. */
  get card(): InsertedCard | undefined {
    return this.#card?.gone === true ? undefined : this.#card;
  }

  /** The slot of the card's token number `index`: fixed for the life of the process. */
  slotID(index: number): number {
    return (this.#slotIDs[index] ??= this.#owner.allocate());
  }

  found(tokens: readonly Token[]): void {
    const [first, ...further] = tokens.map(({ slotID }) => slotID);
    if (first !== undefined && further.length > 0) this.#owner.found(first, further);
  }

  /** One slot, and another for each further token of the present card. */
  get slotIDs(): readonly number[] {
    return this.#slotIDs.slice(0, Math.max(1, this.card?.tokenCount ?? 0));
  }

  /** All IDs of this reader. */
  get allSlotIDs(): readonly number[] {
    return this.#slotIDs;
  }

  /**
   * Called when the connection to `card` broke. If the resource manager still reports the card, it is examined anew.
   */
  renew(card: unknown): void {
    if (this.#card !== card || !this.#state?.present) return;
    this.#card = new InsertedCard(this.#way, this, this.#card?.tokenCount);
  }

  /** Takes the resource manager's new state; undefined when the reader is unplugged. */
  update(state: ReaderState | undefined): ReaderChange {
    const before = this.#state;
    const slots = this.slotIDs;
    const card = this.#card;
    this.#state = state;
    const same =
      before?.present === state?.present && before?.events === state?.events && (before === undefined) === !state;
    // After a broken connection the card counts as removed, even if the resource manager reports one: it is a new one.
    if (same && card?.gone !== true) return { slots: [], removed: undefined };
    this.#card = state?.present ? new InsertedCard(this.#way, this) : undefined;
    return { slots, removed: card };
  }
}

/** Receives events of a ReaderSource. */
export interface SourceOwner extends ReaderOwner {
  /** Called for every change, and at the end of every card. */
  changed(change: ReaderChange): void;
}

/** The readers of one resource manager, or one that a program added, while an application follows them. */
export class ReaderSource {
  readonly #way: CardEnvironment;
  readonly #owner: SourceOwner;
  readonly #readers = new Map<string, Reader>();
  #watch: Watch | undefined;

  constructor(way: CardEnvironment, owner: SourceOwner) {
    this.#way = way;
    this.#owner = owner;
  }

  /** All readers ever seen, in order. */
  get readers(): readonly Reader[] {
    return [...this.#readers.values()];
  }

  /**
   * Follows the readers, from the first call to {@link stop}; waits for the first list.
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
    // Synchronously, before a new start.
    const endings = this.readers.map((reader) => this.#update(reader, undefined));
    await Promise.all([watch?.ended, ...endings]);
  }

  #startWatch(): Watch {
    const stop = new AbortController();
    let ended: Promise<void> = Promise.resolve();
    const ready = new Promise<void>((resolve, reject) => {
      ended = this.#follow(stop.signal, resolve).then(resolve, reject);
    });
    // The caller of start gets a failure; there may be none any more.
    ready.catch(() => undefined);
    return { stop, ready, ended };
  }

  async #follow(signal: AbortSignal, told: () => void): Promise<void> {
    try {
      for await (const states of followReaders(this.#way.pcsc, { signal })) {
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
    for (const reader of this.#readers.values()) {
      const state = named.get(reader.name);
      if (CHANNELS.card.hasSubscribers) publishChange(reader, state);
      void this.#update(reader, state);
    }
  }

  async #update(reader: Reader, state: ReaderState | undefined): Promise<void> {
    const change = reader.update(state);
    const ending = change.removed?.end();
    this.#owner.changed(change);
    await ending;
  }
}

/** A card that was exchanged for another between two states is a removal and an insertion. */
function publishChange({ name: reader, state: before }: Reader, state: ReaderState | undefined): void {
  const time = Date.now();
  const isSame = before?.present === state?.present && before?.events === state?.events;
  if (isSame) return;
  if (before?.present) CHANNELS.card.publish({ time, reader, change: "removed" });
  if (state?.present) CHANNELS.card.publish({ time, reader, change: "inserted", atr: toHex(state.atr) });
}

interface Watch {
  readonly stop: AbortController;
  /** Whether the readers have been reported once. */
  readonly ready: Promise<void>;
  readonly ended: Promise<void>;
}
