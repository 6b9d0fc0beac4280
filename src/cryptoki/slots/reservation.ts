import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { untilAborted } from "../turns.ts";

/** Milliseconds for which a call waits while somebody else has the card for himself: as long as for another program. */
const PATIENCE = 3_000;

interface Held {
  readonly holder: object;
  readonly freed: Promise<void>;
  readonly free: () => void;
  timer: ReturnType<typeof setTimeout>;
}

/** Keeps a card for one caller over several calls, for a time that has an end. */
export class Reservation {
  #held: Held | undefined;

  isHeldBy(holder: object): boolean {
    return this.#held?.holder === holder;
  }

  /**
   * Takes the card, or begins the time anew for who has it already.
   * @param hold Keeps other programs out, until what it gives is disposed of.
   * @throws {CryptokiError} CKR_DEVICE_ERROR as {@link pass}.
   */
  async take(
    holder: object,
    milliseconds: number,
    hold: () => Promise<AsyncDisposable>,
    signal?: AbortSignal,
  ): Promise<void> {
    // Of several who waited, one is the first to look again.
    while (this.#held && !this.isHeldBy(holder)) await this.pass(signal);
    if (!this.#held) await this.#begin(holder, hold);
    const held = this.#held;
    // Somebody gave it back meanwhile.
    if (held?.holder !== holder) return;
    clearTimeout(held.timer);
    held.timer = setTimeout(() => {
      this.release(holder);
    }, milliseconds);
  }

  async #begin(holder: object, hold: () => Promise<AsyncDisposable>): Promise<void> {
    let freed: (() => void) | undefined;
    const held: Held = {
      holder,
      freed: new Promise((resolve) => (freed = resolve)),
      free: () => freed?.(),
      timer: setTimeout(() => undefined),
    };
    this.#held = held;
    try {
      const kept = await hold();
      // Whoever ends it waits for nothing: the card's own queue has the farewell before all that comes after.
      void held.freed.then(() => kept[Symbol.asyncDispose]()).catch(() => undefined);
    } catch (error) {
      this.release(holder);
      throw error;
    }
  }

  /** Gives the card back, if it is this caller's. */
  release(holder: object): void {
    if (!this.isHeldBy(holder)) return;
    clearTimeout(this.#held?.timer);
    this.#held?.free();
    this.#held = undefined;
  }

  /** The card is gone: nobody has it. */
  end(): void {
    if (this.#held) this.release(this.#held.holder);
  }

  /**
   * Waits until nobody has the card for himself.
   * @throws {CryptokiError} CKR_DEVICE_ERROR after three seconds; the reason of `signal`.
   */
  async pass(signal?: AbortSignal): Promise<void> {
    const deadline = Date.now() + PATIENCE;
    for (let held = this.#held; held; held = this.#held) {
      const timeout = AbortSignal.timeout(Math.max(0, deadline - Date.now()));
      try {
        await untilAborted(held.freed, signal ? AbortSignal.any([signal, timeout]) : timeout);
      } catch (error) {
        if (!timeout.aborted || signal?.aborted) throw error;
        throw new CryptokiError(CKR.DEVICE_ERROR, "another caller is unblocking a PIN of this card; try again later");
      }
    }
  }
}
