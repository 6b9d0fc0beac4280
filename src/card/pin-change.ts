import { MalformedAnswerError } from "../apdu/index.ts";
import type { Card } from "./card.ts";
import { CardAccessError, CardCancelledError, CardGoneError } from "./access-error.ts";

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
