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
    promise.finally(stop).then(resolve, reject);
  });
}

/** @throws the error of `asError`, if one of `signals` is aborted already. */
export function throwIfAborted(signals: Signals, asError = theReason): void {
  if (signals === undefined) return;
  for (const signal of [signals].flat()) if (signal?.aborted) throw asError(signal.reason);
}

/**
 * Calls `react` with the reason when the first of `signals` aborts; at once if one is aborted already.
 * @returns A function that removes the listener. Call it when the wait is over: a signal may live long.
 */
export function onAbort(signals: Signals, react: (reason: unknown) => void): () => void {
  const stops: (() => void)[] = [];
  const stop = (): void => {
    for (const one of stops) one();
  };
  for (const signal of [signals].flat()) {
    const abort = (): void => {
      stop();
      react(signal?.reason);
    };
    if (signal?.aborted) {
      abort();
      return stop;
    }
    if (signal) stops.push(listen(signal, abort));
  }
  return stop;
}

/** The reactions registered for each signal. */
const LISTENERS = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Each signal gets one listener, however many calls wait with it: Node warns of more than ten
 * (MaxListenersExceededWarning).
 */
function listen(signal: AbortSignal, react: () => void): () => void {
  const reactions = LISTENERS.get(signal) ?? new Set();
  if (reactions.size === 0) {
    LISTENERS.set(signal, reactions);
    signal.addEventListener("abort", reactToAbort);
  }
  reactions.add(react);
  return () => {
    if (!reactions.delete(react) || reactions.size > 0) return;
    LISTENERS.delete(signal);
    signal.removeEventListener("abort", reactToAbort);
  };
}

function reactToAbort(this: AbortSignal): void {
  const reactions = LISTENERS.get(this) ?? new Set();
  for (const react of [...reactions]) if (reactions.has(react)) react();
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
