import { equalBytes } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { Monitor } from "./monitor.ts";
import { pause } from "../../async/index.ts";

const FIRST_RETRY = 50;
const LONGEST_RETRY = 1_000;
/** Refusals in a row, before the daemon ever answered, that end the iteration: one may be a daemon that is just being stopped. */
const MOST_REFUSALS = 2;

/**
 * The readers now, and again whenever they differ from what was told last, until `signal` aborts or the consumer
 * leaves, also while it waits. A daemon that is not
 * there has no readers; it is looked for again after 50 ms, then less often, at last every second. A daemon that refuses this user
 * from the beginning ends the iteration with SCARD_W_SECURITY_VIOLATION.
 */
export function readerChanges(path: string, signal: AbortSignal): AsyncIterable<readonly ReaderState[]> {
  return { [Symbol.asyncIterator]: () => iterate(path, signal) };
}

/** A generator's own `return` stands in line behind its `next`, which may wait for ever. */
function iterate(path: string, signal: AbortSignal): AsyncIterator<readonly ReaderState[], void> {
  const leaving = new AbortController();
  const states = follow(path, AbortSignal.any([signal, leaving.signal]));
  return {
    next: () => states.next(),
    return: () => {
      leaving.abort();
      return states.return();
    },
  };
}

async function* follow(path: string, signal: AbortSignal): AsyncGenerator<readonly ReaderState[], void> {
  let told: readonly ReaderState[] | undefined;
  let retry = FIRST_RETRY;
  let refusals = 0;
  while (!signal.aborted) {
    try {
      using monitor = await Monitor.open(path, signal);
      for (;;) {
        const readers = await monitor.look();
        retry = FIRST_RETRY;
        if (!told || !sameReaders(told, readers)) {
          told = readers;
          yield readers;
        }
        await monitor.changed();
      }
    } catch (error) {
      if (!isLoss(error)) throw error;
      refusals = isRefusal(error) ? refusals + 1 : 0;
      if (refusals >= MOST_REFUSALS && told === undefined) throw error;
    }
    if (isAborted(signal)) return;
    // A first refusal is asked about before anybody is told that there are no readers.
    const isAskedAgain = refusals > 0 && told === undefined;
    if (!isAskedAgain && told?.length !== 0) yield (told = []);
    await pause(retry, signal).catch(() => undefined);
    retry = Math.min(2 * retry, LONGEST_RETRY);
  }
}

/** The aborted state changes while others run; the type checker thinks otherwise. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Whether the daemon refused this user. */
function isRefusal(error: unknown): boolean {
  return error instanceof PcscError && error.is("SCARD_W_SECURITY_VIOLATION");
}

/** Whether a daemon that comes back, or another one, may do better. */
function isLoss(error: unknown): boolean {
  return error instanceof PcscError && !error.is("SCARD_E_UNSUPPORTED_FEATURE");
}

function sameReaders(a: readonly ReaderState[], b: readonly ReaderState[]): boolean {
  return a.length === b.length && a.every((reader, index) => sameReader(reader, b[index]));
}

function sameReader(a: ReaderState, b: ReaderState | undefined): boolean {
  if (!b) return false;
  return (
    a.name === b.name &&
    a.unavailable === b.unavailable &&
    a.present === b.present &&
    a.mute === b.mute &&
    a.sharing === b.sharing &&
    a.events === b.events &&
    equalBytes(a.atr, b.atr)
  );
}
