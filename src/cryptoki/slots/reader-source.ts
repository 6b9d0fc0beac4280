import { followReaders } from "../../card/index.ts";
import type { ReaderState } from "../../pcsc/index.ts";
import type { CardWay } from "./inserted-card.ts";
import { Reader, type ReaderChange, type ReaderOwner } from "./reader.ts";

/** Whom a source's readers belong to. */
export interface SourceOwner extends ReaderOwner {
  /** Hears of every change, and of the end of every card. */
  changed(change: ReaderChange): void;
}

/** The readers that one resource manager knows, or one reader that a program brought along, while somebody follows them. */
export class ReaderSource {
  readonly #way: CardWay;
  readonly #owner: SourceOwner;
  readonly #readers = new Map<string, Reader>();
  #watch: Watch | undefined;

  constructor(way: CardWay, owner: SourceOwner) {
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
