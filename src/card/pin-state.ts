import { CardCancelledError } from "./access-error.ts";
import type { Card } from "./card.ts";
import type { PinStatus } from "./types.ts";

/** What is known of one PIN of a card, or of another value that the card verifies. The one place for these rules. */
export class PinState {
  readonly #card: Pick<Card, "resets">;
  /** {@link Card.resets} when the card last said yes. */
  #verifiedAt: number | undefined;
  #maxTries: number;

  /** @param usualTries Tries that most issuers give, until the card shows more. */
  constructor(card: Pick<Card, "resets">, usualTries: number) {
    this.#card = card;
    this.#maxTries = usualTries;
  }

  /** The card said yes, and was not reset since. */
  get isVerified(): boolean {
    return this.#verifiedAt === this.#card.resets;
  }

  /**
   * Runs `command`, which presents the PIN to the card. Until the card says yes the PIN counts as not verified, because a wrong one
   * also undoes an earlier right one. A call that was cancelled before the card saw the PIN undoes nothing.
   * @param keeps Whether an error of `command` says that the card did not look at the PIN, so that an earlier right one still holds.
   */
  async present(command: () => Promise<void>, keeps: (error: unknown) => boolean = () => false): Promise<void> {
    const before = this.#verifiedAt;
    this.#verifiedAt = undefined;
    try {
      await command();
    } catch (error) {
      if (error instanceof CardCancelledError || keeps(error)) this.#verifiedAt = before;
      throw error;
    }
    this.#verifiedAt = this.#card.resets;
  }

  /** As {@link present}, for a command that sets the PIN without verifying it: success leaves the state as it was. */
  async replace(command: () => Promise<void>): Promise<void> {
    const before = this.#verifiedAt;
    this.#verifiedAt = undefined;
    try {
      await command();
    } catch (error) {
      if (error instanceof CardCancelledError) this.#verifiedAt = before;
      throw error;
    }
    this.#verifiedAt = before;
  }

  /** The card was told to forget the PIN, or will be by a reset. */
  forget(): void {
    this.#verifiedAt = undefined;
  }

  /** Completes what the card says with the most tries that were seen to be left. */
  status(told: Pick<PinStatus, "triesLeft" | "verified" | "isSet">): PinStatus {
    this.#maxTries = Math.max(this.#maxTries, told.triesLeft ?? 0);
    return { ...told, maxTries: this.#maxTries };
  }
}

/** The tries that are left, for error messages: "1 try is left", "2 tries are left". */
export function triesLeftText(triesLeft: number): string {
  return `${triesLeft === 1 ? "1 try is" : `${triesLeft} tries are`} left`;
}
