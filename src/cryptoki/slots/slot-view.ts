import { Condition } from "../../async/index.ts";
import { CKR } from "../constants/ckr.ts";
import { cancelled, CryptokiError } from "../errors.ts";
import type { Slot, SlotTable } from "./slot-table.ts";
import type { Token } from "./token.ts";

/** Which of a card's tokens is in the only slot of its reader: by its number, from 0, or by the name of its PIN. */
export type TokenChoice = number | string;

/**
 * The slots as one application sees them: all of them, or one for each reader. An application that does not expect two
 * slots for one reader keeps its slot while cards with one PIN and with several come and go.
 */
export class SlotView {
  readonly #table: SlotTable;
  readonly #choice: TokenChoice | undefined;

  /** @param choice Undefined for all slots. A card without the named token shows its first. */
  constructor(table: SlotTable, choice: TokenChoice | undefined) {
    this.#table = table;
    this.#choice = choice;
  }

  /** Errors as for {@link SlotTable.slots}. */
  async slots(): Promise<readonly Slot[]> {
    const slots = await this.#table.slots();
    return this.#choice === undefined ? slots : slots.filter(({ index }) => index === 0);
  }

  /** @throws {CryptokiError} CKR_SLOT_ID_INVALID. */
  slot(id: number): Slot {
    const slot = this.#table.slot(id);
    if (this.#choice !== undefined && slot.index > 0) throw new CryptokiError(CKR.SLOT_ID_INVALID);
    return slot;
  }

  /** The token in a slot. Errors as for {@link SlotTable.token}. */
  async token(id: number): Promise<Token> {
    const { reader } = this.slot(id);
    const first = await this.#table.token(id);
    if (this.#choice === undefined) return first;
    const tokens = (await reader.card?.tokens()) ?? [];
    if (typeof this.#choice === "number") return tokens[this.#choice] ?? first;
    for (const token of tokens) if ((await token.info()).pin.label === this.#choice) return token;
    return first;
  }

  /** The slot in which this application sees the events of `slotID`. */
  visibleSlotId(slotID: number): number {
    return this.#choice === undefined ? slotID : this.#table.slot(slotID).reader.slotID(0);
  }
}

/** The event flags of one application: slots with events that it has not received yet. */
export class SlotEvents {
  readonly #slots = new Set<number>();
  /** Slots with events, also with cleared flags. */
  readonly #had = new Set<number>();
  readonly #changed = new Condition(cancelled);
  #ended = false;
  #count = 0;

  /** All events, also with cleared flags. */
  get count(): number {
    return this.#count;
  }

  add(slotID: number): void {
    this.#count++;
    this.#slots.add(slotID);
    this.#had.add(slotID);
    this.#changed.notifyAll();
  }

  /** Whether the slot had an event since the flags were cleared. */
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

  /** Clears one slot's flag and returns the slot; undefined if none is set. */
  take(): number | undefined {
    const [slotID] = this.#slots;
    if (slotID !== undefined) this.#slots.delete(slotID);
    return slotID;
  }

  /**
   * Waits for a flag and clears it.
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
