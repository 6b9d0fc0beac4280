/** What every call that takes time takes as its last argument. */
export interface CallOptions {
  /**
   * Ends the caller's wait, with the error of the layer that was called (CKR_FUNCTION_CANCELED, CardCancelledError, SCARD_E_CANCELLED).
   * An exchange with a card that is under way is finished behind the caller.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The signal in a call's options.
 * @param asError Makes the error of the caller's layer from a sentence that says what is wrong.
 * @throws what `asError` makes, for anything but options: callers in JavaScript have no types.
 */
export function signalOf(
  options: CallOptions | undefined,
  asError: (problem: string) => Error,
): AbortSignal | undefined {
  const given: unknown = options;
  if (given === undefined) return undefined;
  if (given instanceof AbortSignal) throw asError("the last argument is { signal }, and not the AbortSignal itself");
  if (typeof given !== "object" || given === null || Array.isArray(given) || ArrayBuffer.isView(given)) {
    throw asError("the last argument is { signal }, or left out; lengths are not given");
  }
  const { signal } = given as { readonly signal?: unknown };
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw asError("signal in { signal }, the last argument, is an AbortSignal");
}

/** One signal, or several of which any aborts. */
export type Signals = AbortSignal | undefined | readonly (AbortSignal | undefined)[];

/** Makes the error of an aborted wait from the signal's reason. */
export type AbortError = (reason: unknown) => unknown;

const theReason: AbortError = (reason) => reason;

/**
 * Returns the outcome of `promise`, or rejects as soon as one of `signals` aborts. The work continues; its late outcome
 * is dropped.
 * @param asError Default: the signal's reason itself.
 */
export function untilAborted<T>(promise: Promise<T>, signals: Signals, asError = theReason): Promise<T> {
  if (signals === undefined) return promise;
  return new Promise<T>((resolve, reject) => {
    const stop = onAbort(signals, (reason) => {
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the reason is the caller's to choose
      reject(asError(reason));
    });
    promise.then(
      (value) => {
        stop();
        resolve(value);
      },
      (error: unknown) => {
        stop();
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the promise's own reason
        reject(error);
      },
    );
  });
}

/** @throws the error of `asError`, if one of `signals` is aborted already. */
export function throwIfAborted(signals: Signals, asError = theReason): void {
  if (signals === undefined) return;
  if (signals instanceof AbortSignal) {
    if (signals.aborted) throw asError(signals.reason);
    return;
  }
  for (const signal of signals) if (signal?.aborted) throw asError(signal.reason);
}

/**
 * Calls `react` with the reason when the first of `signals` aborts; at once if one is aborted already.
 * @returns A function that removes the listener. Call it when the wait is over: a signal may live long.
 */
export function onAbort(signals: Signals, react: (reason: unknown) => void): () => void {
  const all = signals instanceof AbortSignal ? [signals] : (signals ?? []);
  const stop = (): void => {
    for (const signal of all) {
      if (!signal) continue;
      const reactions = LISTENERS.get(signal);
      if (!reactions?.delete(reaction) || reactions.size > 0) continue;
      LISTENERS.delete(signal);
      signal.removeEventListener("abort", reactToAbort);
    }
  };
  const reaction = (reason: unknown): void => {
    stop();
    react(reason);
  };
  for (const signal of all) {
    if (!signal) continue;
    if (signal.aborted) {
      reaction(signal.reason);
      break;
    }
    listen(signal, reaction);
  }
  return stop;
}

type Reaction = (reason: unknown) => void;

/** The reactions registered for each signal. */
const LISTENERS = new WeakMap<AbortSignal, Set<Reaction>>();

/**
 * Each signal gets one listener, however many calls wait with it: Node warns of more than ten
 * (MaxListenersExceededWarning).
 */
function listen(signal: AbortSignal, reaction: Reaction): void {
  const all = LISTENERS.get(signal) ?? new Set();
  if (all.size === 0) {
    LISTENERS.set(signal, all);
    signal.addEventListener("abort", reactToAbort);
  }
  all.add(reaction);
}

function reactToAbort(this: AbortSignal): void {
  const reactions = LISTENERS.get(this) ?? new Set();
  for (const react of [...reactions]) if (reactions.has(react)) react(this.reason);
}

/** Resolves after `milliseconds`; rejects as {@link untilAborted} when one of `signals` aborts first. */
export async function pause(milliseconds: number, signals?: Signals, asError = theReason): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const over = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  try {
    await untilAborted(over, signals, asError);
  } finally {
    clearTimeout(timer);
  }
}

/** Resolves in the next turn of the event loop, after timers and input that are due. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    // Browsers have no setImmediate.
    if (typeof setImmediate === "function") setImmediate(resolve);
    else setTimeout(resolve);
  });
}

/** The longest delay of a timer, in milliseconds; a longer one would fire at once. */
export const LONGEST_TIMER = 0x7fff_ffff;

/** A time on the monotonic clock, independent of changes of the system's time. */
export class Deadline {
  readonly #at: number;

  /** @param milliseconds From now. Infinity never passes. */
  constructor(milliseconds: number) {
    this.#at = performance.now() + milliseconds;
  }

  /** Milliseconds left; never negative. */
  get left(): number {
    return Math.max(0, this.#at - performance.now());
  }

  get passed(): boolean {
    return performance.now() >= this.#at;
  }

  /**
   * Returns the outcome of `promise`, or rejects with the error of `asError` once the deadline has passed. The work
   * continues; its late outcome is dropped.
   */
  async race<T>(promise: Promise<T>, asError: () => unknown): Promise<T> {
    if (this.#at === Infinity) return promise;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => {
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the error is the caller's to choose
          reject(asError());
        },
        Math.min(this.#at - performance.now(), LONGEST_TIMER),
      );
    });
    try {
      return await Promise.race([promise, late]);
    } finally {
      clearTimeout(timer);
    }
  }
}

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
