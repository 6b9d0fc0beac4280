/** Lets one after the other work: calls on one session run in the order in which they were made. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs `work` after everything before it has ended, well or not. An aborted `signal` leaves the line. */
  take<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#last;
    const mine = untilAborted(before, signal).then(work);
    this.#last = Promise.allSettled([before, mine]);
    return mine;
  }
}

/** The end of `wait`, or the reason of `signal` if it aborts first: what is waited for goes on, for whoever else waits for it. */
export async function untilAborted<T>(wait: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return wait;
  // Nobody hears of its end.
  if (signal.aborted) wait.catch(() => undefined);
  signal.throwIfAborted();
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = (): void => {
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([wait, aborted]);
  } finally {
    if (stop) signal.removeEventListener("abort", stop);
  }
}
