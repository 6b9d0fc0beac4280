import { untilAborted } from "./abort.ts";

/** An asynchronous value that is computed when it is first wanted, and once. */
export interface MemoizedAsync<T> {
  /**
   * The value. Callers that come while it is computed share the computation; an abort ends only its own caller's wait.
   * A failure is not remembered.
   */
  (signal?: AbortSignal): Promise<T>;
  /** Whether the value is known, or its computation under way. */
  readonly known: boolean;
  /** Replaces the value, also that of a computation under way. */
  set(value: T): void;
  /** Forgets the value; a computation under way is not remembered. */
  clear(): void;
}

/** Remembers what `compute` gives, until {@link MemoizedAsync.clear}. */
export function memoizeAsync<T>(compute: () => Promise<T>): MemoizedAsync<T> {
  let known: Promise<T> | undefined;
  const get = (signal?: AbortSignal): Promise<T> => {
    if (!known) {
      const mine = compute();
      known = mine;
      mine.catch(() => {
        // Only its own: another value may have been set meanwhile.
        if (known === mine) known = undefined;
      });
    }
    return untilAborted(known, signal);
  };
  const memo = Object.assign(get, {
    known: false,
    set: (value: T): void => {
      known = Promise.resolve(value);
    },
    clear: (): void => {
      known = undefined;
    },
  });
  return Object.defineProperty(memo, "known", { get: () => known !== undefined });
}

/** As {@link memoizeAsync}, one value for each key. */
export class MemoizedMap<K, T> {
  readonly #compute: (key: K) => Promise<T>;
  readonly #values = new Map<K, MemoizedAsync<T>>();

  constructor(compute: (key: K) => Promise<T>) {
    this.#compute = compute;
  }

  get(key: K, signal?: AbortSignal): Promise<T> {
    return this.#of(key)(signal);
  }

  set(key: K, value: T): void {
    this.#of(key).set(value);
  }

  /** Whether {@link get} computes nothing: the value of `key` is known, or on its way. */
  has(key: K): boolean {
    return this.#values.get(key)?.known ?? false;
  }

  /** Forgets the value of `key`. */
  delete(key: K): void {
    this.#values.get(key)?.clear();
    this.#values.delete(key);
  }

  /** Forgets all values. */
  clear(): void {
    for (const value of this.#values.values()) value.clear();
    this.#values.clear();
  }

  #of(key: K): MemoizedAsync<T> {
    let value = this.#values.get(key);
    if (!value) {
      value = memoizeAsync(() => this.#compute(key));
      this.#values.set(key, value);
    }
    return value;
  }
}
