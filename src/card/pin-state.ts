import { MalformedAnswerError } from "../apdu/index.ts";
import type { Card } from "./card.ts";
import type { PinStatus } from "./contract.ts";
import { CardAccessError, CardCancelledError, CardGoneError, PinError } from "./errors.ts";

/** Tries that nearly every issuer gives at least: fewer tell of a wrong PIN, on a card that does not tell its maximum. */
const USUAL_TRIES = 3;

/** What is known of one PIN of a card, or of another value that the card verifies. The one place for these rules. */
export class PinState {
  readonly #card: Pick<Card, "resets">;
  /** {@link Card.resets} when the card last said yes. */
  #verifiedAt: number | undefined;
  /** Asked without a PIN, the card has said since the last right one that it is verified: its no can be believed. */
  #hasAffirmed = false;
  /** A refusal that nothing explains was put up with since. */
  #wasRefused = false;
  /** The most tries that were seen to be left. */
  #mostTries = USUAL_TRIES;

  constructor(card: Pick<Card, "resets">) {
    this.#card = card;
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
      // The wrong PIN spent one.
      if (error instanceof PinError && error.reason === "incorrect") this.#sawTries((error.triesLeft ?? 0) + 1);
      throw error;
    }
    this.#verifiedAt = this.#card.resets;
    this.#hasAffirmed = false;
    this.#wasRefused = false;
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

  /** A use that wants the PIN went well. */
  served(): void {
    this.#wasRefused = false;
  }

  /**
   * The card refused something that wants this PIN, which counts as verified. A YubiKey also refuses a key while it is not touched, and one
   * with firmware before 4.3.2 says of a verified PIN that it is not. So the card's no is believed where it was heard to say yes since
   * the PIN was given; elsewhere one refusal is put up with.
   * @param verified What the card says when it is asked without a PIN; undefined where it does not tell.
   * @returns Whether the PIN counts as verified still; if not, it is forgotten.
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

  /** Whether the card's word that the PIN is not verified can be believed. */
  get hasAffirmed(): boolean {
    return this.#hasAffirmed;
  }

  #affirm(): void {
    if (!this.isVerified) return;
    this.#hasAffirmed = true;
    this.#wasRefused = false;
  }

  /** Completes what the card says by what was seen of the counter. */
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

/** Whether the card holds a PIN as verified, by its answer to the empty VERIFY; undefined where that does not tell. */
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

/** The answer to a command that changes a PIN was lost: the card may have the old PIN or the new one. The cause is what went wrong. */
export class PinUncertainError extends CardAccessError {
  override readonly name = "PinUncertainError";

  constructor(what: string, cause: Error) {
    super(
      `the card's answer was lost (${cause.message}), so the ${what} may have changed. To find out, give the new one first, and the ` +
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
 * @param card It is not kept any longer for a use that wants the old one ({@link Card.holdTurn}).
 * @param what The PIN that is changed, for the error.
 * @param work Has the command that changes it sent by its argument. What fails before that has changed nothing.
 * @throws {PinUncertainError} if the command was sent, and its answer did not come or cannot be read.
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
    // A call that is cancelled in the exchange is finished behind the caller, as any write is.
    if (!command.isSent || !isLost || error instanceof CardCancelledError) throw error;
    throw new PinUncertainError(what, error);
  }
}
