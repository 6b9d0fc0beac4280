import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { untilAborted } from "../turns.ts";

/** One application's event flags: slots of which it has not yet heard that something happened there. */
export class SlotEvents {
  readonly #slots = new Set<number>();
  /** Slots that had events, whoever took them. */
  readonly #had = new Set<number>();
  #waiting: (() => void)[] = [];
  #ended = false;
  #count = 0;

  /** How many there were, whoever took them. */
  get count(): number {
    return this.#count;
  }

  add(slotID: number): void {
    this.#count++;
    this.#slots.add(slotID);
    this.#had.add(slotID);
    this.#wake();
  }

  /** Whether something happened in the slot since the flags were cleared. */
  had(slotID: number): boolean {
    return this.#had.has(slotID);
  }

  clear(): void {
    this.#count = 0;
    this.#slots.clear();
    this.#had.clear();
  }

  /** Wakes whoever waits; there are no more events. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** Takes one slot's flag down; undefined if none is up. */
  take(): number | undefined {
    const [slotID] = this.#slots;
    if (slotID !== undefined) this.#slots.delete(slotID);
    return slotID;
  }

  /**
   * Waits for a flag and takes it down.
   * @throws {CryptokiError} CKR_CRYPTOKI_NOT_INITIALIZED after {@link end}; the reason of `signal`.
   */
  async wait(signal?: AbortSignal): Promise<number> {
    for (;;) {
      if (this.#ended) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile");
      const slotID = this.take();
      if (slotID !== undefined) return slotID;
      await untilAborted(
        new Promise<void>((resolve) => {
          this.#waiting.push(resolve);
        }),
        signal,
      );
    }
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
