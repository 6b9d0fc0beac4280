import { Condition } from "../../async/index.ts";
import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import { cancelled } from "../error-map.ts";

/** The event flags of one application: slots in which something happened that the application was not told yet. */
export class SlotEvents {
  readonly #slots = new Set<number>();
  /** Slots that had events, also those whose flag was taken down. */
  readonly #had = new Set<number>();
  readonly #changed = new Condition(cancelled);
  #ended = false;
  #count = 0;

  /** All events, also those whose flag was taken down. */
  get count(): number {
    return this.#count;
  }

  add(slotID: number): void {
    this.#count++;
    this.#slots.add(slotID);
    this.#had.add(slotID);
    this.#changed.notifyAll();
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

  /** Ends all waits; there are no more events. */
  end(): void {
    this.#ended = true;
    this.#changed.notifyAll();
  }

  /** Takes one slot's flag down; undefined if none is up. */
  take(): number | undefined {
    const [slotID] = this.#slots;
    if (slotID !== undefined) this.#slots.delete(slotID);
    return slotID;
  }

  /**
   * Waits for a flag and takes it down.
   * @throws {CryptokiError} CKR_CRYPTOKI_NOT_INITIALIZED after {@link end}; CKR_FUNCTION_CANCELED.
   */
  async wait(signal?: AbortSignal): Promise<number> {
    for (;;) {
      if (this.#ended) throw new CryptokiError(CKR.CRYPTOKI_NOT_INITIALIZED, "C_Finalize was called meanwhile");
      const slotID = this.take();
      if (slotID !== undefined) return slotID;
      await this.#changed.wait(undefined, signal);
    }
  }
}
