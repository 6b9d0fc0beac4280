import { setTimeout as sleep } from "node:timers/promises";
import { PcscError } from "./error.ts";

/**
 * What `promise` comes to, unless one of `signals` aborts first. The work behind the promise goes on then, and nobody
 * hears of its end.
 * @throws {PcscError} The reason of the signal, if it is of this class; else SCARD_E_CANCELLED with it as cause.
 */
export function untilAborted<T>(promise: Promise<T>, ...signals: readonly (AbortSignal | undefined)[]): Promise<T> {
  const given = signals.filter((signal) => signal !== undefined);
  if (given.length === 0) return promise;
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => {
      reject(abortion(...given));
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
  if (signals.some((signal) => signal?.aborted)) throw abortion(...signals);
}

/** What a call fails with that is given up because one of `signals` aborted. */
export function abortion(...signals: readonly (AbortSignal | undefined)[]): PcscError {
  const reason: unknown = signals.find((signal) => signal?.aborted)?.reason;
  return reason instanceof PcscError ? reason : new PcscError("SCARD_E_CANCELLED", undefined, { cause: reason });
}

/**
 * Runs `work`, and `stop` if `signal` aborts meanwhile.
 * @throws {PcscError} As {@link untilAborted}, if it was aborted before.
 */
export async function stoppable<T>(
  signal: AbortSignal | undefined,
  stop: (reason: PcscError) => void,
  work: () => Promise<T>,
): Promise<T> {
  if (!signal) return work();
  refuseAborted(signal);
  const abort = (): void => {
    stop(abortion(signal));
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await work();
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** @throws {PcscError} As {@link untilAborted}, as soon as `signal` aborts. */
export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, signal && { signal });
  } catch (error) {
    refuseAborted(signal);
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
