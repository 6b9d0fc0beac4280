import { type AbortError, Deadline, onAbort, type Signals, throwIfAborted, untilAborted } from "./abort.ts";

/** Runs work one piece after the other, in the order of the calls, and keeps no reference to finished work. */
export class SerialQueue {
  readonly #asError: AbortError | undefined;
  readonly #waiting = new Set<Waiter>();
  #running = false;

  /** @param asError Makes the error of an aborted wait; default: the signal's reason. */
  constructor(asError?: AbortError) {
    this.#asError = asError;
  }

  /** Whether work runs or waits. */
  get busy(): boolean {
    return this.#running;
  }

  /** Number of waiting pieces of work. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Runs `work` after all earlier work has ended, successfully or not.
   * @param signals An abort removes waiting work at once. Running work is not stopped: it must watch the signal itself.
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
    return new Promise((begin, reject) => {
      const waiter: Waiter = { begin, stop: () => undefined };
      this.#waiting.add(waiter);
      waiter.stop = onAbort(signals, (reason) => {
        this.#waiting.delete(waiter);
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the reason is the caller's to choose
        reject(this.#asError ? this.#asError(reason) : reason);
      });
    });
  }

  /** The queue counts as running until the next work starts, so that no later call gets ahead of it. */
  #handOver(): void {
    const [first] = this.#waiting;
    if (first) {
      this.#waiting.delete(first);
      first.stop();
      first.begin();
    } else this.#running = false;
  }
}

/** Work that waits for its turn. */
interface Waiter {
  readonly begin: () => void;
  /** Ends its attention to the signals. */
  stop: () => void;
}

/** Wakes waiting callers in the order of their calls. Each then checks its condition itself. */
export class Condition {
  readonly #asError: AbortError | undefined;
  #waiting = new Set<() => void>();

  /** @param asError Makes the error of an aborted wait; default: the signal's reason. */
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

/** Number of running calls of {@link inThreadPool}. */
let running = 0;

/**
 * Runs `work` that Node does in its thread pool and cannot cancel, such as generating a key. Meanwhile {@link
 * threadPoolIsBusy} is true.
 */
export async function inThreadPool<T>(work: Promise<T>): Promise<T> {
  running++;
  try {
    return await work;
  } finally {
    running--;
  }
}

/** Whether such work is running: process.exit() would wait for it. */
export function threadPoolIsBusy(): boolean {
  return running > 0;
}
