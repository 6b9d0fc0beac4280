import { pause } from "../../async/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { answered, Link } from "./link.ts";
import { COMMAND, request, SIGNAL } from "./protocol.ts";
import { entries, greet, readEntries, readersIn, readReaders } from "./session.ts";

/** Since pcsc-lite 2.5.0 states are sent outside the daemon's lock: a signal may come before any answer. */
const UNLOCKED_MINOR = 6;

/**
 * Waits for changes of the readers. The daemon registers a client for one change: {@link look} registers and returns
 * the present state, {@link changed} waits for the first change after that.
 */
class Monitor implements Disposable {
  readonly #link: Link;
  readonly #minor: number;
  /** Reads the states if the registered link cannot. */
  readonly #reading: Link | undefined;
  #change: Promise<unknown> = Promise.resolve();

  private constructor(link: Link, minor: number, reading?: Link) {
    this.#link = link;
    this.#minor = minor;
    this.#reading = reading;
  }

  /** @param signal Ends the monitor, whatever it waits for. */
  static async open(path: string, signal: AbortSignal): Promise<Monitor> {
    let link = new Link(path, { signal });
    try {
      let minor = await answered(link, greet(link));
      if (minor < UNLOCKED_MINOR) return new Monitor(link, minor);
      // The daemon keeps a connection that began with 4:4 in the old mode, so a new one is made.
      link.close();
      link = new Link(path, { signal });
      minor = await answered(link, greet(link, UNLOCKED_MINOR));
      return new Monitor(link, minor, new Link(path, { signal }));
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Registers for the next change, and returns the readers' state after the registration. */
  look(): Promise<readonly ReaderState[]> {
    return this.#reading ? this.#lookApart(this.#reading) : this.#lookHere();
  }

  /** Resolves at the first change since {@link look}; sometimes without a change. */
  async changed(): Promise<void> {
    await this.#change;
  }

  [Symbol.dispose](): void {
    this.#link.close();
    this.#reading?.close();
  }

  /**
   * Up to 4:5 the daemon registers and answers with the states under one lock, and signals follow. Their array has the
   * length found before: behind this one no further request is possible, because a signal might come before its answer.
   */
  async #lookHere(): Promise<readonly ReaderState[]> {
    const { length } = await answered(this.#link, readEntries(this.#link));
    const states = this.#link.request(request(COMMAND.WAIT_READER_STATE_CHANGE), entries(length));
    this.#awaitSignal();
    return readersIn((await answered(this.#link, states)).head);
  }

  /**
   * WAIT has no answer any more, so GET_READER_EVENTS follows it: its answer shows that the registration is done. The
   * answer is as long as a signal, so their order does not matter: an additional one counts as a change, at the cost of
   * one unnecessary look.
   */
  async #lookApart(reading: Link): Promise<readonly ReaderState[]> {
    this.#link.send(request(COMMAND.WAIT_READER_STATE_CHANGE));
    const registered = this.#link.request(request(COMMAND.GET_READER_EVENTS), SIGNAL);
    this.#awaitSignal();
    await answered(this.#link, registered);
    return answered(reading, readReaders(reading, this.#minor));
  }

  #awaitSignal(): void {
    this.#change = this.#link.expect(SIGNAL);
    // The consumer may be busy when the daemon stops; changed() reports it.
    this.#change.catch(() => undefined);
  }
}

const FIRST_RETRY = 50;
const LONGEST_RETRY = 1_000;
/**
 * Consecutive refusals, before the daemon ever answered, that end the iteration: a single one may come from a daemon
 * that is stopping.
 */
const MOST_REFUSALS = 2;

/**
 * Yields the readers now, and again whenever they differ from the last ones, until `signal` aborts or the consumer
 * leaves, also while it waits. A daemon that does not run has no readers; it is looked for again after 50 ms, then less
 * often, at last every second. A daemon that refuses this user from the beginning ends the iteration with
 * SCARD_W_SECURITY_VIOLATION.
 */
export function readerChanges(path: string, signal: AbortSignal): AsyncIterable<readonly ReaderState[]> {
  return { [Symbol.asyncIterator]: () => iterate(path, signal) };
}

/** A generator's own `return` waits for its `next`, perhaps for ever. */
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
    // After a first refusal asks again before it reports an empty list.
    const isAskedAgain = refusals > 0 && told === undefined;
    if (!isAskedAgain && told?.length !== 0) yield (told = []);
    await pause(retry, signal).catch(() => undefined);
    retry = Math.min(2 * retry, LONGEST_RETRY);
  }
}

/** `aborted` changes during an await, which the type checker does not expect. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Whether the daemon refused this user. */
function isRefusal(error: unknown): boolean {
  return error instanceof PcscError && error.is("SCARD_W_SECURITY_VIOLATION");
}

/** Whether a daemon that returns, or another one, may succeed. */
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
