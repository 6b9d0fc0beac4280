import type { ReaderState } from "../../pcsc/index.ts";
import type { Token } from "./token.ts";
import { type CardWay, type CardPlace, InsertedCard } from "./inserted-card.ts";

/** What a change meant: slots whose application should look again, and a card that went. */
export interface ReaderChange {
  readonly slots: readonly number[];
  readonly removed: InsertedCard | undefined;
}

/** What a reader needs of whom it belongs to. */
export interface ReaderOwner {
  /** Gives a slot ID that nobody had before. */
  allocate(): number;
  /** The card in the reader was looked at: slots besides its first that hold tokens. */
  found(first: number, further: readonly number[]): void;
}

/** A reader that was seen at least once. It keeps its slot IDs while it is unplugged. */
export class Reader implements CardPlace {
  readonly name: string;
  readonly #way: CardWay;
  readonly #owner: ReaderOwner;
  readonly #slotIDs: number[] = [];
  #state: ReaderState | undefined;
  #card: InsertedCard | undefined;

  constructor(name: string, way: CardWay, owner: ReaderOwner) {
    this.name = name;
    this.#way = way;
    this.#owner = owner;
    this.#slotIDs.push(owner.allocate());
  }

  get plugged(): boolean {
    return this.#state !== undefined;
  }

  get mute(): boolean {
    return this.#state?.mute ?? false;
  }

  /** The card that is in, as far as anybody knows. */
  get card(): InsertedCard | undefined {
    return this.#card?.gone === true ? undefined : this.#card;
  }

  /** The slot of the card's token number `index`: the same as long as the process lives. */
  slotID(index: number): number {
    return (this.#slotIDs[index] ??= this.#owner.allocate());
  }

  found(tokens: readonly Token[]): void {
    const [first, ...further] = tokens.map(({ slotID }) => slotID);
    if (first !== undefined && further.length > 0) this.#owner.found(first, further);
  }

  /** One slot, and one more for each further token of the card that is in. */
  get slotIDs(): readonly number[] {
    return this.#slotIDs.slice(0, Math.max(1, this.card?.tokenCount ?? 0));
  }

  /** Every ID that this reader ever gave. */
  get allSlotIDs(): readonly number[] {
    return this.#slotIDs;
  }

  /** The connection to `card` broke off. If it is still in, as far as the resource manager says, it is looked at anew. */
  renew(card: unknown): void {
    if (this.#card !== card || !this.#state?.present) return;
    this.#card = new InsertedCard(this.#way, this, this.#card?.tokenCount);
  }

  /** Takes note of what the resource manager says now; undefined when the reader is unplugged. */
  update(state: ReaderState | undefined): ReaderChange {
    const before = this.#state;
    const slots = this.slotIDs;
    const card = this.#card;
    this.#state = state;
    const same =
      before?.present === state?.present && before?.events === state?.events && (before === undefined) === !state;
    // A card that broke off is gone, even if the resource manager says afterwards that one is in: it is a new one.
    if (same && card?.gone !== true) return { slots: [], removed: undefined };
    this.#card = state?.present ? new InsertedCard(this.#way, this) : undefined;
    return { slots, removed: card };
  }
}
