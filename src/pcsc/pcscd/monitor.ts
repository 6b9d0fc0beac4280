import type { ReaderState } from "../types.ts";
import { answered } from "./answered.ts";
import { Link } from "./link.ts";
import { COMMAND, request, SIGNAL } from "./messages.ts";
import { entries, greet, readEntries, readersIn, readReaders } from "./session.ts";

/** From pcsc-lite 2.5.0 on, states are sent outside the daemon's lock: a signal may come in front of any answer. */
const UNLOCKED_MINOR = 6;

/**
 * Waits for changes of the readers. The daemon's registration is for one change: {@link look} registers and tells how
 * things stand, {@link changed} waits for the first change after that.
 */
export class Monitor implements Disposable {
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
