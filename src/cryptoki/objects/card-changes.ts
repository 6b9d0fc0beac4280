import type { CardObject } from "../../card/index.ts";

/** What has become of the object that a reference names. */
export interface CardChange {
  /** How many objects of this reference have ended: the one that is there now is another one. */
  readonly ended: number;
  /** The object as it is since it was changed last. */
  readonly object: CardObject | undefined;
}

const NONE: CardChange = { ended: 0, object: undefined };

/**
 * What the applications of this process have changed on a card. Each keeps its own handles; by this all of them see the same
 * objects behind them. One for each token.
 */
export class CardChanges {
  readonly #changes = new Map<string, CardChange>();
  #count = 0;

  /** Changes until now. */
  get count(): number {
    return this.#count;
  }

  /** The same thing as before unless there was a change since. */
  of(reference: string): CardChange {
    return this.#changes.get(reference) ?? NONE;
  }

  /** The object is gone; what may be there under its reference from now on is another one. */
  ended(reference: string): void {
    this.#note(reference, { ended: this.of(reference).ended + 1, object: undefined });
  }

  /** The object is the same, with other attributes. */
  changed(object: CardObject): void {
    this.#note(object.reference, { ended: this.of(object.reference).ended, object });
  }

  #note(reference: string, change: CardChange): void {
    this.#changes.set(reference, change);
    this.#count++;
  }
}
