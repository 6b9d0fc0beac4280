import { PcscError, type ScardErrorName } from "../pcsc/index.ts";

/**
 * The way to the card failed, and not the card: no {@link CardError}, because what a card refuses may be done without, and a card
 * that cannot be reached may not. The cause is what the resource manager said, and the message is its.
 */
export class CardAccessError extends Error {
  override readonly name: string = "CardAccessError";
}

/** The card, its reader or the service is gone: no call over this connection can succeed any more. */
export class CardGoneError extends CardAccessError {
  override readonly name = "CardGoneError";
}

/** Another program reset the card in the middle of the work: what was verified and selected is forgotten. */
export class CardResetError extends CardAccessError {
  override readonly name = "CardResetError";
}

/** Another program keeps the card for itself, for longer than this one waits. */
export class CardBusyError extends CardAccessError {
  override readonly name = "CardBusyError";
}

/** The caller's signal ended the wait, or the exchange. */
export class CardCancelledError extends CardAccessError {
  override readonly name = "CardCancelledError";
}

/** The card or its reader gave no answer in time. The connection was given up with the exchange; the card is reset. */
export class CardTimeoutError extends CardAccessError {
  override readonly name = "CardTimeoutError";
}

type AccessErrorClass = new (message: string, options: ErrorOptions) => CardAccessError;

/** What each code means to who works with cards; any other is a {@link CardAccessError}. */
const CLASSES: Readonly<Partial<Record<ScardErrorName, AccessErrorClass>>> = {
  SCARD_E_CANCELLED: CardCancelledError,
  SCARD_E_TIMEOUT: CardTimeoutError,
  SCARD_W_RESET_CARD: CardResetError,
  SCARD_E_SHARING_VIOLATION: CardBusyError,
  // A card, a reader and a daemon that go away are one to who works with the card.
  SCARD_W_REMOVED_CARD: CardGoneError,
  SCARD_E_NO_SMARTCARD: CardGoneError,
  SCARD_E_READER_UNAVAILABLE: CardGoneError,
  SCARD_E_UNKNOWN_READER: CardGoneError,
  SCARD_E_NO_READERS_AVAILABLE: CardGoneError,
  SCARD_E_NO_SERVICE: CardGoneError,
  SCARD_E_SERVICE_STOPPED: CardGoneError,
  SCARD_E_INVALID_HANDLE: CardGoneError,
};

const BY_NAME: ReadonlyMap<string, AccessErrorClass> = new Map(Object.entries(CLASSES));

/** An error of PC/SC as this room tells it; any other as it is. */
export function toAccessError(error: unknown): unknown {
  if (!(error instanceof PcscError)) return error;
  const AccessError = BY_NAME.get(error.codeName) ?? CardAccessError;
  return new AccessError(error.message, { cause: error });
}

/** The outcome of `work`, whose errors are told as {@link toAccessError} has them. */
export async function reached<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toAccessError(error);
  }
}

/** What an aborted wait for the card rejects with. */
export function cancelled(reason: unknown): CardCancelledError {
  return reason instanceof CardCancelledError
    ? reason
    : new CardCancelledError("the call was cancelled", { cause: reason });
}
