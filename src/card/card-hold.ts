import { SerialQueue, untilAborted } from "../async/index.ts";
import { CardAccessError, CardCancelledError, cancelled } from "./access-error.ts";
import type { CardExchange, ExclusiveAccess } from "./exchange.ts";
import { LoginRequiredError } from "./error.ts";

/** Milliseconds without an exchange after which a hold ends by default. Windows resets a card whose transaction is idle for 5 s. */
export const HOLD_MS = 4_000;

/**
 * A card that one caller keeps over several calls: its turn in the card's queue and its PC/SC transaction. Other callers wait
 * meanwhile, in this process and outside. The hold ends when it is disposed of, after a transport error, and by itself after a
 * time without an exchange.
 */
export class CardHold implements ExclusiveAccess, AsyncDisposable {
  readonly #run: ExclusiveAccess["exclusively"];
  readonly #idle: number;
  readonly #end: () => void;
  readonly #queue = new SerialQueue(cancelled);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  /**
   * @param run Runs work within the transaction that is kept.
   * @param idle Milliseconds without an exchange after which the hold ends.
   * @param end Called once, when the card is free for others.
   */
  constructor(run: ExclusiveAccess["exclusively"], idle: number, end: () => void) {
    this.#run = run;
    this.#idle = idle;
    this.#end = end;
    this.#startTimer();
  }

  /** The card is not kept any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Runs `work` in the turn that is kept.
   * @throws {LoginRequiredError} if the hold has ended; what {@link ExclusiveAccess.exclusively} throws.
   */
  exclusively<T>(work: (card: CardExchange) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const done = this.#queue.run(async () => {
      if (this.#ended) throw new LoginRequiredError(TOO_LATE);
      clearTimeout(this.#timer);
      try {
        return await this.#run(work, signal);
      } catch (error) {
        // The card may have been reset: what was verified for this use is not verified any more.
        if (error instanceof CardAccessError && !(error instanceof CardCancelledError)) this.#finish();
        throw error;
      } finally {
        if (!this.ended) this.#startTimer();
      }
    }, signal);
    return untilAborted(done, signal, cancelled);
  }

  /** Gives the card back, after the work under way. */
  [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    return this.#queue.run(() => {
      this.#finish();
    });
  }

  #startTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // No work is under way: it would have stopped the timer.
      this.#finish();
    }, this.#idle);
    (this.#timer as { unref?: () => void }).unref?.();
  }

  #finish(): void {
    clearTimeout(this.#timer);
    if (this.#ended) return;
    this.#ended = true;
    this.#end();
  }
}

const TOO_LATE = "the card was not kept any longer for this use of the key; give its PIN once more";
