import { Condition, Deadline, throwIfAborted } from "../../async/index.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";

/** Milliseconds for which a call waits while another application has reserved the card. */
const PATIENCE = 3_000;

interface Held {
  readonly holder: object;
  timer?: ReturnType<typeof setTimeout>;
  /** Keeps other programs out. */
  transaction?: AsyncDisposable;
}

/** Reserves a card for one caller over several calls, for a limited time. */
export class Reservation {
  readonly #freed = new Condition(cancelled);
  #held: Held | undefined;
  /** Whether a caller has reserved the card. */
  isTaken = false;

  isHeldBy(holder: object): boolean {
    return this.#held?.holder === holder;
  }

  /**
   * Reserves the card, or restarts the time for the caller that has it already.
   * @param hold Keeps other programs away, until its result is disposed of.
   * @throws {CryptokiError} CKR_DEVICE_ERROR as {@link waitUntilFree}; CKR_FUNCTION_CANCELED.
   */
  async acquire(
    holder: object,
    milliseconds: number,
    hold: () => Promise<AsyncDisposable>,
    signal?: AbortSignal,
  ): Promise<void> {
    // One of several waiting callers is the first to check again.
    while (this.#held && !this.isHeldBy(holder)) await this.waitUntilFree(signal);
    if (!this.#held) await this.#begin({ holder }, hold, signal);
    const held = this.#held;
    // It was released meanwhile.
    if (held?.holder !== holder) return;
    clearTimeout(held.timer);
    held.timer = setTimeout(() => {
      this.release(holder);
    }, milliseconds);
  }

  async #begin(held: Held, hold: () => Promise<AsyncDisposable>, signal?: AbortSignal): Promise<void> {
    this.#held = held;
    this.isTaken = true;
    try {
      held.transaction = await hold();
      throwIfAborted(signal, cancelled);
    } catch (error) {
      this.#end(held);
      throw error;
    }
    if (this.#held !== held) this.#end(held);
  }

  /** Releases the card, if this caller has reserved it. */
  release(holder: object): void {
    if (this.#held?.holder === holder) this.#end(this.#held);
  }

  /** The card is gone: the reservation ends. */
  end(): void {
    if (this.#held) this.#end(this.#held);
  }

  #end(held: Held): void {
    clearTimeout(held.timer);
    // Does not wait: the card's own queue ends the transaction before all later calls.
    const over = held.transaction?.[Symbol.asyncDispose]();
    delete held.transaction;
    over?.then(undefined, () => undefined);
    if (this.#held !== held) return;
    this.#held = undefined;
    this.isTaken = false;
    this.#freed.notifyAll();
  }

  /**
   * Waits until no caller has reserved the card.
   * @throws {CryptokiError} CKR_DEVICE_ERROR after three seconds; CKR_FUNCTION_CANCELED.
   */
  async waitUntilFree(signal?: AbortSignal): Promise<void> {
    const deadline = new Deadline(PATIENCE);
    while (this.#held) {
      if (deadline.passed) {
        throw new CryptokiError(CKR.DEVICE_ERROR, "another caller is unblocking a PIN of this card; try again later");
      }
      await this.#freed.wait(deadline, signal);
    }
  }
}
