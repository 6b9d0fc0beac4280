import { CKR } from "../constants/ckr.ts";
import { CryptokiError } from "../error.ts";
import type { Slot, SlotTable } from "./slot-table.ts";
import type { Token } from "./token.ts";

/** Which of a card's tokens stands in the one slot of its reader: by its number, from 0, or by the name of its PIN. */
export type TokenChoice = number | string;

/**
 * The slots as one application sees them: all of them, or one for each reader. An application that never thought of two slots at one
 * reader keeps its slot while cards with one PIN and with several come and go.
 */
export class SlotView {
  readonly #table: SlotTable;
  readonly #choice: TokenChoice | undefined;

  /** @param choice Undefined for all slots. A card without the token that is named shows its first. */
  constructor(table: SlotTable, choice: TokenChoice | undefined) {
    this.#table = table;
    this.#choice = choice;
  }

  /** Errors as of {@link SlotTable.slots}. */
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

  /** The token in a slot. Errors as of {@link SlotTable.token}. */
  async token(id: number): Promise<Token> {
    const { reader } = this.slot(id);
    const first = await this.#table.token(id);
    if (this.#choice === undefined) return first;
    const tokens = (await reader.card?.tokens()) ?? [];
    if (typeof this.#choice === "number") return tokens[this.#choice] ?? first;
    for (const token of tokens) if ((await token.info()).pin.label === this.#choice) return token;
    return first;
  }

  /** The slot in which this application sees what happens in `slotID`. */
  seen(slotID: number): number {
    return this.#choice === undefined ? slotID : this.#table.slot(slotID).reader.slotID(0);
  }
}
