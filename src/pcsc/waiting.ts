import { Condition, Deadline, pause, type Signals, throwIfAborted } from "../async/index.ts";
import { PcscError } from "./error.ts";
import type { ExchangeOptions, ReaderState } from "./types.ts";

/** Default time in milliseconds to wait for other programs' transactions. */
const PATIENCE = 60_000;
/** Default time in milliseconds after which an exchange without an answer is abandoned. */
const EXCHANGE_TIMEOUT = 60_000;
/** The same for commands that take long, such as key generation ({@link ExchangeOptions.long}). */
const LONG_EXCHANGE_TIMEOUT = 600_000;
/** Milliseconds within which a connection is closed, whatever it waits for. */
export const CLOSE_WITHIN = 1_000;

/** Time limits of a client's calls. */
export interface WaitLimits {
  /** Milliseconds that a call waits while another program keeps the card, before SCARD_E_SHARING_VIOLATION. Default: 60,000. */
  readonly patience?: number;
  /** Milliseconds after which an exchange without an answer fails with SCARD_E_TIMEOUT. Default: 60,000. */
  readonly exchangeTimeout?: number;
  /** The same for commands that take long ({@link ExchangeOptions.long}). Default: 600,000. */
  readonly longExchangeTimeout?: number;
}

/** {@link WaitLimits} with the defaults. */
export function waitLimits(options: WaitLimits): Required<WaitLimits> {
  const { patience = PATIENCE, exchangeTimeout = EXCHANGE_TIMEOUT } = options;
  return { patience, exchangeTimeout, longExchangeTimeout: options.longExchangeTimeout ?? LONG_EXCHANGE_TIMEOUT };
}

/** Milliseconds to wait for the answer of one exchange. */
export function answerTime(limits: Required<WaitLimits>, { long = false, answersWithin }: ExchangeOptions): number {
  return answersWithin ?? (long ? limits.longExchangeTimeout : limits.exchangeTimeout);
}

/** The error of a call whose last argument is not `{ signal }`. */
export function badOptions(problem: string): PcscError {
  return new PcscError("SCARD_E_INVALID_PARAMETER", problem);
}

/** What an aborted call rejects with: the reason if it is a PcscError, else SCARD_E_CANCELLED with the reason as cause. */
export function cancelled(reason: unknown): PcscError {
  return reason instanceof PcscError ? reason : new PcscError("SCARD_E_CANCELLED", undefined, { cause: reason });
}

/** The error of an exchange without an answer for `milliseconds`. */
export function noAnswer(milliseconds: number): PcscError {
  const seconds = milliseconds / 1_000;
  return new PcscError(
    "SCARD_E_TIMEOUT",
    `the card or its reader did not answer for ${seconds} seconds; the connection was closed`,
  );
}

/**
 * The longest pause in milliseconds between two attempts to get a card. PC/SC has no queue between programs, so the
 * pause does not grow: a program that has waited long has the same chance as a new one.
 */
const LONGEST_PAUSE = 20;

/** A pause between two attempts, of random length so that programs do not try in step. */
export function pauseBetweenTries(signals: Signals): Promise<void> {
  return pause(LONGEST_PAUSE * (0.5 + 0.5 * Math.random()), signals, cancelled);
}

/**
 * Repeats `attempt` while another program holds the card (SCARD_E_SHARING_VIOLATION), for `patience` milliseconds in
 * all; then throws the violation.
 */
export async function patiently<T>(patience: number, attempt: () => Promise<T>, signals?: Signals): Promise<T> {
  const deadline = new Deadline(patience);
  for (;;) {
    throwIfAborted(signals, cancelled);
    try {
      return await attempt();
    } catch (error) {
      if (!isSharingViolation(error) || deadline.passed) throw error;
      await pauseBetweenTries(signals);
    }
  }
}

export function isSharingViolation(error: unknown): boolean {
  return error instanceof PcscError && error.is("SCARD_E_SHARING_VIOLATION");
}

/**
 * Tells any number of consumers the state of the readers, and again after each change. A consumer slower than the
 * changes gets only the newest state; the event counters show what it missed.
 */
export class ReaderFeed {
  readonly #look: () => readonly ReaderState[];
  readonly #changed = new Condition();
  #version = 0;
  #ended = false;

  /** @param look Returns the present readers. */
  constructor(look: () => readonly ReaderState[]) {
    this.#look = look;
  }

  /** Call it after a change. */
  notify(): void {
    this.#version++;
    this.#changed.notifyAll();
  }

  /** Ends every iteration, also future ones. */
  end(): void {
    this.#ended = true;
    this.#changed.notifyAll();
  }

  /** An iteration that ends with `signal`, {@link end}, or the consumer's leaving, also while it waits for a change. */
  changes(signal?: AbortSignal): AsyncIterable<readonly ReaderState[]> {
    return { [Symbol.asyncIterator]: () => this.#iterate(signal) };
  }

  #iterate(signal?: AbortSignal): AsyncIterator<readonly ReaderState[]> {
    let seen = -1;
    let left = false;
    const leave = (): void => {
      left = true;
      signal?.removeEventListener("abort", leave);
      this.#changed.notifyAll();
    };
    signal?.addEventListener("abort", leave);
    if (signal?.aborted) leave();
    return {
      next: async () => {
        while (!left && !this.#ended && seen === this.#version) await this.#changed.wait();
        if (left || this.#ended) return { done: true, value: undefined };
        seen = this.#version;
        return { done: false, value: this.#look() };
      },
      return: () => {
        leave();
        return Promise.resolve({ done: true, value: undefined });
      },
    };
  }
}
