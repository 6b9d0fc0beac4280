/** Wakes whoever waits, in the order in which they came. What has changed they find out for themselves. */
export class Bell {
  #waiting = new Set<() => void>();

  ring(): void {
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const wake of waiting) wake();
  }

  /**
   * Resolves at the next ring, or after `milliseconds`, whichever is first.
   * @throws The reason of the first of `signals` that aborts.
   */
  async wait(milliseconds: number, ...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
    let wake = (): void => undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
      this.#waiting.add(wake);
      if (milliseconds < Infinity) timer = setTimeout(resolve, milliseconds);
    });
    try {
      await untilAborted(woken, ...signals);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(wake);
    }
  }
}

/**
 * What `promise` comes to, unless one of `signals` aborts first: then its reason is thrown. The work behind the promise
 * goes on, and nobody hears of its end.
 */
export function untilAborted<T>(promise: Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  const given = signals.filter((signal) => signal !== undefined);
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      const reason: unknown = given.find((signal) => signal.aborted)?.reason;
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the reason is the caller's to choose
      reject(reason);
    };
    const settled = (): void => {
      for (const signal of given) signal.removeEventListener("abort", abort);
    };
    for (const signal of given) signal.addEventListener("abort", abort);
    promise.finally(settled).then(resolve, reject);
    if (given.some((signal) => signal.aborted)) abort();
  });
}
