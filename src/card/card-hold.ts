import { type CallOptions, SerialQueue, untilAborted } from "../async/index.ts";
import { copySecret, wipe } from "../bytes/index.ts";
import { callSignal, cancelled, CardAccessError, CardCancelledError, LoginRequiredError } from "./errors.ts";
import type { CardExchange, ExclusiveAccess } from "./contract.ts";

/**
 * Default for the milliseconds without an exchange after which a hold ends. Windows resets a card whose transaction is
 * idle for 5 s.
 */
export const HOLD_MS = 4_000;

/**
 * Milliseconds for which other callers of this process wait for an idle holder. A holder with sequential calls may
 * itself wait for such a caller, and could not continue.
 */
const LEND_MS = 100;

/** What a hold needs of its card. */
export interface HoldingCard {
  /** Runs work within the transaction that is kept. */
  readonly run: <T>(work: (card: CardExchange) => Promise<T>, signal?: AbortSignal) => Promise<T>;
  /** Takes the turn again. @returns Gives it back. */
  readonly takeTurn: (signal?: AbortSignal) => Promise<() => void>;
  /** Whether other callers wait for the card. */
  readonly isAwaited: () => boolean;
  /** Called once, when the card is free for others, before the turn is given back. */
  readonly ended: (hold: CardHold) => void;
}

/**
 * A card that one caller holds over several calls: its turn in the card's queue and its PC/SC transaction. Other
 * callers wait meanwhile, in this process and outside. The hold ends when it is disposed of, after a transport error,
 * when a PIN is changed, and after a time without an exchange of its own.
 *
 * A hold that keeps the PIN ({@link lend}) lets waiting callers of this process go first, within its transaction.
 */
export class CardHold implements ExclusiveAccess, AsyncDisposable {
  readonly #card: HoldingCard;
  readonly #idle: number;
  readonly #queue = new SerialQueue(cancelled);
  /** Gives the turn back; undefined while others have it. */
  #giveTurn: (() => void) | undefined;
  /** The PIN, which is verified again after others' commands. */
  #pin: Uint8Array | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lending: ReturnType<typeof setTimeout> | undefined;
  #claimed = false;
  #ended = false;

  /**
   * @param giveTurn Gives back the caller's turn.
   * @param idle Milliseconds without an exchange after which the hold ends.
   */
  constructor(card: HoldingCard, giveTurn: () => void, idle: number) {
    this.#card = card;
    this.#giveTurn = giveTurn;
    this.#idle = idle;
    this.#startTimer();
  }

  /** Whether the hold has ended. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Other callers of this process wait. */
  get hasTurn(): boolean {
    return this.#giveTurn !== undefined;
  }

  /**
   * Runs `work` in the held turn.
   * @throws {LoginRequiredError} if the hold has ended; the errors of {@link ExclusiveAccess.exclusively}.
   */
  async exclusively<T>(work: (card: CardExchange) => Promise<T>, options?: CallOptions): Promise<T> {
    const signal = callSignal(options);
    const done = this.#queue.run(async () => {
      this.#requireKept();
      clearTimeout(this.#timer);
      try {
        return await this.#card.run(work, signal);
      } catch (error) {
        // The card may have been reset, which ends the verification.
        if (error instanceof CardAccessError && !(error instanceof CardCancelledError)) this.end();
        throw error;
      } finally {
        if (!this.ended) this.#startTimer();
      }
    }, signal);
    return untilAborted(done, signal, cancelled);
  }

  /**
   * From now on, until {@link claim}, callers of this process that have waited for 100 ms go first, within the transaction: no other
   * program comes in, so that the PIN stays the right one.
   * @param pin The PIN that was verified; copied, and wiped when the hold ends.
   */
  lend(pin: Uint8Array): void {
    if (this.#ended) return;
    this.#pin = copySecret(pin);
    if (this.#card.isAwaited()) this.awaited();
  }

  /** Called when another caller waits for the card. */
  awaited(): void {
    if (!this.#pin || this.#claimed || !this.#giveTurn || this.#lending !== undefined) return;
    // It keeps the process alive, because a call waits for it.
    this.#lending = setTimeout(() => {
      this.#lending = undefined;
      if (this.#claimed || !this.#card.isAwaited()) return;
      this.#giveTurn?.();
      this.#giveTurn = undefined;
    }, LEND_MS);
  }

  /**
   * Begins the use: takes the turn back if others have it, and keeps it.
   * @returns The PIN, if others had the turn, so that it must be verified again. The hold wipes it.
   * @throws {LoginRequiredError} if the hold has ended; {@link CardAccessError}.
   */
  async claim(options?: CallOptions): Promise<Uint8Array | undefined> {
    const signal = callSignal(options);
    return this.#queue.run(async () => {
      this.#requireKept();
      this.#claimed = true;
      clearTimeout(this.#lending);
      if (this.#giveTurn) return undefined;
      clearTimeout(this.#timer);
      const giveTurn = await this.#card.takeTurn(signal);
      if (this.#ended) giveTurn();
      this.#requireKept();
      this.#giveTurn = giveTurn;
      this.#startTimer();
      return this.#pin;
    }, signal);
  }

  /** Releases the card, after the running work. */
  [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#timer);
    return this.#queue.run(() => {
      this.end();
    });
  }

  /** Ends the hold at once: the verification is void. */
  end(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#lending);
    if (this.#ended) return;
    this.#ended = true;
    if (this.#pin) wipe(this.#pin);
    this.#card.ended(this);
    this.#giveTurn?.();
    this.#giveTurn = undefined;
  }

  #requireKept(): void {
    if (this.#ended) throw new LoginRequiredError(TOO_LATE);
  }

  #startTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      // No work is running: it would have stopped the timer.
      this.end();
    }, this.#idle);
    (this.#timer as { unref?: () => void }).unref?.();
  }
}

const TOO_LATE = "the card was not held any longer for this use of the key; give its PIN once more";
