import { toHex } from "../../src/bytes/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";

/** A card with an ear at its contacts: what reaches it is kept, and it can be pulled before a command does. */
export class WatchedCard implements InProcessCard {
  readonly #card: InProcessCard;
  readonly commands: string[] = [];
  /** Runs before each command; the card is pulled if it says so: the command never reaches it, and has no answer. */
  before: (() => "pull" | undefined) | undefined;

  constructor(card: InProcessCard) {
    this.#card = card;
  }

  get atr(): Uint8Array {
    return this.#card.atr;
  }

  reset(): void {
    this.#card.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    if (this.before?.() === "pull") return new Promise(() => undefined);
    this.commands.push(toHex(command));
    return this.#card.transmit(command);
  }
}
