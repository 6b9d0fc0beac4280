import { untilAborted } from "./waiting.ts";

/** An asynchronous value that is computed once, on first use. */
export interface MemoizedAsync<T> {
  /**
   * The value. Concurrent callers share the computation; an abort ends only its own caller's wait. A failure is not
   * cached.
   */
  (signal?: AbortSignal): Promise<T>;
  /** Whether the value is known or being computed. */
  readonly known: boolean;
  /** Sets the value, also during a computation. */
  set(value: T): void;
  /** Forgets the value; the result of a computation in progress is not cached. */
  clear(): void;
}

/** Caches the result of `compute` until {@link MemoizedAsync.clear}. */
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

  /** Whether {@link get} starts no computation: the value of `key` is known or being computed. */
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
