import { type AbortError, Deadline, onAbort, type Signals, throwIfAborted, untilAborted } from "./abort.ts";

/** Runs one piece of work after the other, in the order of the calls. A finished one leaves nothing behind. */
export class SerialQueue {
  readonly #asError: AbortError | undefined;
  readonly #waiting = new Set<() => void>();
  #running = false;

  /** @param asError What an aborted wait rejects with; default: the signal's reason. */
  constructor(asError?: AbortError) {
    this.#asError = asError;
  }

  /** Whether work is under way or waits. */
  get busy(): boolean {
    return this.#running;
  }

  /** How much work waits for that under way. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Runs `work` after all that was queued before has ended, successfully or not.
   * @param signals An abort leaves the line at once. Work that has begun is not stopped: it must watch the signal itself.
   */
  async run<T>(work: () => T | Promise<T>, signals?: Signals): Promise<T> {
    throwIfAborted(signals, this.#asError);
    if (this.#running) await this.#next(signals);
    this.#running = true;
    try {
      throwIfAborted(signals, this.#asError);
      return await work();
    } finally {
      this.#handOver();
    }
  }

  #next(signals: Signals): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        stop();
        resolve();
      };
      this.#waiting.add(begin);
      const stop = onAbort(signals, (reason) => {
        this.#waiting.delete(begin);
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the reason is the caller's to choose
        reject(this.#asError ? this.#asError(reason) : reason);
      });
    });
  }

  /** The queue counts as running until the next work takes over, so that no later call gets in between. */
  #handOver(): void {
    const [first] = this.#waiting;
    if (first) {
      this.#waiting.delete(first);
      first();
    } else this.#running = false;
  }
}

/** Wakes waiting callers, in the order in which they came. Each then looks for itself at what has changed. */
export class Condition {
  readonly #asError: AbortError | undefined;
  #waiting = new Set<() => void>();

  /** @param asError What an aborted wait rejects with; default: the signal's reason. */
  constructor(asError?: AbortError) {
    this.#asError = asError;
  }

  notifyAll(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /** Resolves at the next {@link notifyAll} or when `deadline` passes; rejects when one of `signals` aborts. */
  async wait(deadline = new Deadline(Infinity), signals?: Signals): Promise<void> {
    let wake = (): void => undefined;
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
      this.#waiting.add(wake);
    });
    try {
      const late = new LateError();
      const wait = deadline
        .race(woken, () => late)
        .catch((error: unknown) => {
          if (error !== late) throw error;
        });
      await untilAborted(wait, signals, this.#asError);
    } finally {
      this.#waiting.delete(wake);
      // Ends the timer of the deadline after an abort.
      wake();
    }
  }
}

class LateError extends Error {}

/** Calls of {@link inThreadPool} that are under way. */
let running = 0;

/**
 * The outcome of `work`, which Node does in a thread of its own and cannot take back, such as making a key. While it lasts,
 * {@link threadPoolIsBusy} says so.
 */
export async function inThreadPool<T>(work: Promise<T>): Promise<T> {
  running++;
  try {
    return await work;
  } finally {
    running--;
  }
}

/** Whether such work is under way: process.exit() would wait for it. */
export function threadPoolIsBusy(): boolean {
  return running > 0;
}
