import { pause } from "../../async/index.ts";
import { equalBytes } from "../../bytes/index.ts";
import { PcscError } from "../error.ts";
import type { ReaderState } from "../types.ts";
import { answered, Link } from "./link.ts";
import { COMMAND, request, SIGNAL } from "./protocol.ts";
import { entries, greet, readEntries, readersIn, readReaders } from "./session.ts";

/** From pcsc-lite 2.5.0 on, states are sent outside the daemon's lock: a signal may come in front of any answer. */
const UNLOCKED_MINOR = 6;

/**
 * Waits for changes of the readers. The daemon's registration is for one change: {@link look} registers and tells how
 * things stand, {@link changed} waits for the first change after that.
 */
class Monitor implements Disposable {
  readonly #link: Link;
  readonly #minor: number;
  /** Reads the states where the registered link cannot. */
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
      // The daemon keeps a connection that began with 4:4 on the old ways: begin anew.
      link.close();
      link = new Link(path, { signal });
      minor = await answered(link, greet(link, UNLOCKED_MINOR));
      return new Monitor(link, minor, new Link(path, { signal }));
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /** Registers for the next change, and returns the readers as they are after the registration. */
  look(): Promise<readonly ReaderState[]> {
    return this.#reading ? this.#lookApart(this.#reading) : this.#lookHere();
  }

  /** Resolves at the first change since {@link look}, now and then without one. */
  async changed(): Promise<void> {
    await this.#change;
  }

  [Symbol.dispose](): void {
    this.#link.close();
    this.#reading?.close();
  }

  /**
   * Up to 4:5 the daemon registers and answers with the states under one lock; a signal comes after them. Their array is as long as
   * the one that is asked for before: at the end of this one, no question can stand, whose answer a signal might come before.
   */
  async #lookHere(): Promise<readonly ReaderState[]> {
    const { length } = await answered(this.#link, readEntries(this.#link));
    const states = this.#link.request(request(COMMAND.WAIT_READER_STATE_CHANGE), entries(length));
    this.#awaitSignal();
    return readersIn((await answered(this.#link, states)).head);
  }

  /**
   * WAIT has no answer any more, so GET_READER_EVENTS follows it: when that is answered, the registration is done. Its
   * answer has the size of a signal, so it does not matter which of the two comes first: what is left is taken for a
   * change, at the price of one look too many.
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
    // Whoever looks may be busy elsewhere when the daemon stops; it is told by changed().
    this.#change.catch(() => undefined);
  }
}

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
