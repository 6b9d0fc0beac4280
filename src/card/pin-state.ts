import { MalformedAnswerError } from "../apdu/index.ts";
import type { Card } from "./card.ts";
import type { PinStatus } from "./contract.ts";
import { CardAccessError, CardCancelledError, CardGoneError, PinError } from "./errors.ts";

/** Usual minimum of the tries: fewer mean that a wrong PIN was given, on a card that does not report its maximum. */
const USUAL_TRIES = 3;

/** The known state of one PIN of a card, or of another value that the card verifies. All rules for it are here. */
export class PinState {
  readonly #card: Pick<Card, "resets">;
  /** {@link Card.resets} when the card last reported it as verified. */
  #verifiedAt: number | undefined;
  /** Whether the card has reported a verified PIN since the last right one: only then is a negative report reliable. */
  #hasAffirmed = false;
  /** Whether an unexplained refusal has been tolerated since. */
  #wasRefused = false;
  /** The highest number of tries left that was seen. */
  #mostTries = USUAL_TRIES;

  constructor(card: Pick<Card, "resets">) {
    this.#card = card;
  }

  /** Whether the card reported it as verified, and was not reset since. */
  get isVerified(): boolean {
    return this.#verifiedAt === this.#card.resets;
  }

  /**
   * Runs `command`, which presents the PIN to the card. Until it succeeds the PIN counts as not verified, because a
   * wrong one also cancels an earlier right one. A call that was cancelled before anything was sent changes nothing.
   * @param keeps Whether an error of `command` means that the card did not check the PIN, so that an earlier right one
   *   still holds.
   */
  async present(command: () => Promise<void>, keeps: (error: unknown) => boolean = () => false): Promise<void> {
    const before = this.#verifiedAt;
    this.#verifiedAt = undefined;
    try {
      await command();
    } catch (error) {
      if (error instanceof CardCancelledError || keeps(error)) this.#verifiedAt = before;
      // The wrong PIN spent one.
      if (error instanceof PinError && error.reason === "incorrect") this.#sawTries((error.triesLeft ?? 0) + 1);
      throw error;
    }
    this.#verifiedAt = this.#card.resets;
    this.#hasAffirmed = false;
    this.#wasRefused = false;
  }

  /** As {@link present}, for a command that sets the PIN without verifying it: success does not change the state. */
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

  /** The card was told to forget the PIN, or a reset will do it. */
  forget(): void {
    this.#verifiedAt = undefined;
  }

  /** A use that needs the PIN succeeded. */
  served(): void {
    this.#wasRefused = false;
  }

  /**
   * The card refused something that needs this PIN, which counts as verified. A YubiKey also refuses a key without a
   * touch, and one with firmware before 4.3.2 reports a verified PIN as not verified. So a negative report is believed
   * only if the card gave a positive one since the PIN; otherwise one refusal is tolerated.
   * @param verified The card's report without a PIN; undefined if there is none.
   * @returns Whether the PIN still counts as verified; if not, the state is cleared.
   */
  outlasts(verified: boolean | undefined): boolean {
    if (verified === true) {
      this.#affirm();
      return true;
    }
    if (this.#wasRefused || (this.#hasAffirmed && verified === false)) {
      this.forget();
      return false;
    }
    this.#wasRefused = true;
    return true;
  }

  /** Whether the card's report that the PIN is not verified is reliable. */
  get hasAffirmed(): boolean {
    return this.#hasAffirmed;
  }

  #affirm(): void {
    if (!this.isVerified) return;
    this.#hasAffirmed = true;
    this.#wasRefused = false;
  }

  /** Completes the card's report by the observed counter. */
  status(told: Pick<PinStatus, "triesLeft" | "verified" | "isSet">, maxTries?: number): PinStatus {
    const { triesLeft } = told;
    if (told.verified) this.#affirm();
    this.#sawTries(triesLeft ?? 0);
    const countLow = triesLeft !== undefined && triesLeft < (maxTries ?? this.#mostTries);
    return { ...told, maxTries, countLow };
  }

  #sawTries(tries: number): void {
    this.#mostTries = Math.max(this.#mostTries, tries);
  }
}

/** Whether the card holds a PIN as verified, by its answer to the empty VERIFY; undefined if that is unclear. */
export function isToldVerified({
  triesLeft,
  verified,
  isSet,
}: Pick<PinStatus, "triesLeft" | "verified" | "isSet">): boolean | undefined {
  return verified || (triesLeft === undefined && isSet !== false ? undefined : false);
}

/** The tries that are left, for error messages: "1 try is left", "2 tries are left". */
export function triesLeftText(triesLeft: number): string {
  return `${triesLeft === 1 ? "1 try is" : `${triesLeft} tries are`} left`;
}

/**
 * The answer to a command that changes a PIN was lost: the card may have the old PIN or the new one. The cause is the
 * transport error.
 */
export class PinUncertainError extends CardAccessError {
  override readonly name = "PinUncertainError";

  constructor(what: string, cause: Error) {
    super(
      `the card's answer was lost (${cause.message}), so the ${what} may have changed. To find out, try the new one first, and the ` +
        "old one if the card refuses it, which spends a try",
      { cause },
    );
  }

  /** The card is gone as well. */
  get isGone(): boolean {
    return this.cause instanceof CardGoneError;
  }
}

/** Runs the exchange in which the card changes a PIN. */
export type ChangingExchange = (exchange: () => Promise<void>) => Promise<void>;

/**
 * Runs `work`, which changes a PIN.
 * @param card Its holds end, because their uses expect the old one ({@link Card.holdTurn}).
 * @param what The PIN that is changed, for the error.
 * @param work Sends the command by calling its argument. An earlier error has changed nothing.
 * @throws {PinUncertainError} if the command was sent, but its answer is lost or malformed.
 */
export async function changingPin(
  card: Pick<Card, "endHolds">,
  what: string,
  work: (changing: ChangingExchange) => Promise<void>,
): Promise<void> {
  const command = { isSent: false };
  try {
    await work(async (exchange) => {
      command.isSent = true;
      card.endHolds();
      await exchange();
      command.isSent = false;
    });
  } catch (error) {
    const isLost = error instanceof CardAccessError || error instanceof MalformedAnswerError;
    // A call that is cancelled during the exchange is finished in the background, like any write.
    if (!command.isSent || !isLost || error instanceof CardCancelledError) throw error;
    throw new PinUncertainError(what, error);
  }
}
