import { setTimeout as sleep } from "node:timers/promises";
import { PcscError } from "../error.ts";

export function cancelled(signal: AbortSignal): PcscError {
  return new PcscError("SCARD_E_CANCELLED", undefined, { cause: signal.reason });
}

export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw cancelled(signal);
}

/**
 * Runs `work`, and `stop` if `signal` aborts meanwhile.
 * @throws {PcscError} SCARD_E_CANCELLED if it was aborted before.
 */
export async function stoppable<T>(
  signal: AbortSignal | undefined,
  stop: (reason: PcscError) => void,
  work: () => Promise<T>,
): Promise<T> {
  if (!signal) return work();
  throwIfCancelled(signal);
  const abort = (): void => {
    stop(cancelled(signal));
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await work();
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** What `promise` settles to; SCARD_E_CANCELLED as soon as `signal` aborts, while `promise` goes its way. */
export function orCancelled<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(cancelled(signal));
    };
    const done = (): void => {
      signal.removeEventListener("abort", abort);
    };
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(done);
  });
}

/** @throws {PcscError} SCARD_E_CANCELLED as soon as `signal` aborts. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal && { signal });
  } catch (error) {
    throwIfCancelled(signal);
    throw error;
  }
}

const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 100;

/**
 * Runs `attempt` again while another program keeps the card (SCARD_E_SHARING_VIOLATION), with short pauses, for
 * `patience` milliseconds in all; then the violation is the caller's.
 */
export async function patiently<T>(patience: number, attempt: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const deadline = performance.now() + patience;
  for (let length = FIRST_PAUSE; ; length = Math.min(2 * length, LONGEST_PAUSE)) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof PcscError && error.is("SCARD_E_SHARING_VIOLATION"))) throw error;
      if (performance.now() + length > deadline) throw error;
      await pause(length, signal);
    }
  }
}
