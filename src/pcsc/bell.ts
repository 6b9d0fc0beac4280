import { PcscError } from "./error.ts";

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
   * @throws {PcscError} As {@link untilAborted}.
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
 * What `promise` comes to, unless one of `signals` aborts first. The work behind the promise goes on then, and nobody
 * hears of its end.
 * @throws {PcscError} The reason of the signal, if it is of this class; else SCARD_E_CANCELLED with it as cause.
 */
export function untilAborted<T>(promise: Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  const given = signals.filter((signal) => signal !== undefined);
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(abortion(given));
    };
    const settled = (): void => {
      for (const signal of given) signal.removeEventListener("abort", abort);
    };
    for (const signal of given) signal.addEventListener("abort", abort);
    promise.finally(settled).then(resolve, reject);
    if (given.some((signal) => signal.aborted)) abort();
  });
}

/** @throws {PcscError} As {@link untilAborted}, if one of `signals` is aborted already. */
export function refuseAborted(...signals: readonly (AbortSignal | undefined)[]): void {
  if (signals.some((signal) => signal?.aborted)) throw abortion(signals);
}

function abortion(signals: readonly (AbortSignal | undefined)[]): PcscError {
  const reason: unknown = signals.find((signal) => signal?.aborted)?.reason;
  return reason instanceof PcscError ? reason : new PcscError("SCARD_E_CANCELLED", undefined, { cause: reason });
}
