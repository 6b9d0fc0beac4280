import type { AddonReader } from "./addon-module.ts";
import { CardLock } from "./card-lock.ts";

type AddonReaderClass = new (name: string) => AddonReader;

/**
 * The addon's reader objects for connections, one for each connection at a time, apart from those that the package makes to
 * watch: the events of a reader that is connected would wait for its exchanges, and the whole process with them.
 *
 * They are made once, used again and never let go. Their destructor joins a thread whose number is set by the watching
 * methods alone (`cardreader.cpp`): in these objects it is whatever the memory held.
 */
export class AddonCards {
  readonly #class: AddonReaderClass;
  readonly #all: AddonReader[] = [];
  readonly #idle = new Map<string, AddonReader[]>();
  readonly #locks = new Map<string, CardLock>();

  private constructor(readerClass: AddonReaderClass) {
    this.#class = readerClass;
  }

  static readonly #ofClass = new Map<unknown, AddonCards>();

  /** Those of the same loaded addon as `reader`: the class is not exported. */
  static like(reader: AddonReader): AddonCards {
    const readerClass = reader.constructor as AddonReaderClass;
    const cards = AddonCards.#ofClass.get(readerClass) ?? new AddonCards(readerClass);
    AddonCards.#ofClass.set(readerClass, cards);
    return cards;
  }

  /** The lock that stands for a transaction, one a reader in this process. */
  lock(name: string): CardLock {
    const lock = this.#locks.get(name) ?? new CardLock();
    this.#locks.set(name, lock);
    return lock;
  }

  /** One that is not connected, and nobody else's until it is given back. `fresh`: never used before. */
  take(name: string, fresh = false): AddonReader {
    const used = fresh ? undefined : this.#idle.get(name)?.pop();
    if (used) return used;
    const made = new this.#class(name);
    this.#all.push(made);
    return made;
  }

  /** Takes one back for the next connection, unless it could not be disconnected. */
  give(reader: AddonReader): void {
    if (reader.connected) return;
    const idle = this.#idle.get(reader.name) ?? [];
    idle.push(reader);
    this.#idle.set(reader.name, idle);
  }
}
