import { CardError, MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import { PcscError, type ScardErrorName } from "../pcsc/error.ts";

export type PinFailure =
  /** The card compared and refused; a try is spent. */
  | "incorrect"
  /** No tries left. */
  | "blocked"
  /** Shorter or longer than the card takes; the card was not asked. */
  | "length"
  /** A character that this PIN cannot hold; the card was not asked. */
  | "characters"
  /** A new PIN that the card's rules do not allow, whatever they are; no try is spent. */
  | "unacceptable"
  /** This PIN has not been set yet. */
  | "not-set";

/** A PIN was not accepted. The PIN itself is never in it. */
export class PinError extends CardError {
  override readonly name = "PinError";
  readonly reason: PinFailure;
  readonly triesLeft: number | undefined;

  constructor(reason: PinFailure, message: string, triesLeft?: number, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.triesLeft = triesLeft;
  }
}

/** The card wants the PIN before it does this: never given, forgotten after a reset, or wanted anew for each use. */
export class LoginRequiredError extends CardError {
  override readonly name = "LoginRequiredError";
}

/**
 * The card refused this use of a key although the PIN is verified: it was not touched in time, or its holder or its rules do not allow
 * it. The login stays, and the use may be tried again.
 */
export class UseRefusedError extends CardError {
  override readonly name = "UseRefusedError";
}

/** The object is not on the card any more: another program took it off. */
export class ObjectGoneError extends CardError {
  override readonly name = "ObjectGoneError";
}

/** The card, or this profile, cannot do what was asked. */
export class UnsupportedError extends CardError {
  override readonly name = "UnsupportedError";
  /** What the request lacked, where that is the reason: the identifier of a new key that names its place. */
  readonly lacks: "id" | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly lacks?: "id" }) {
    super(message, options);
    this.lacks = options?.lacks;
  }
}

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
export async function translatePcscErrors<T>(work: Promise<T>): Promise<T> {
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

/** Runs work on a card, once more if another program resets it in the middle. Not for what a card must not do twice. */
export async function afterReset<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof CardResetError)) throw error;
    return read();
  }
}

/** How a card says that it has no such file, record or object (ISO/IEC 7816-4 section 5.6, table 6). */
const NOT_FOUND: ReadonlySet<number> = new Set([SW.FILE_NOT_FOUND, SW.RECORD_NOT_FOUND, SW.REFERENCED_DATA_NOT_FOUND]);

/** Whether the card says that it does not have what was asked for. */
export function isNotFound(sw: number): boolean {
  return NOT_FOUND.has(sw);
}

/**
 * Whether `error` is the card's answer about the file or object that was asked for: it is not there, or it wants a PIN. Only such
 * an answer may be remembered. Any other status word is an accident of this one exchange.
 */
export function isAnswer(error: unknown): error is StatusError {
  return error instanceof StatusError && (isNotFound(error.sw) || error.sw === SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** A Java Card without an applet that could answer says so (ISO7816.SW_APPLET_SELECT_FAILED of its API). */
const NO_APPLET = 0x6999;

const isNothingThere = (sw: number): boolean => isNotFound(sw) || sw === NO_APPLET;

/**
 * Sends a command whose refusal has a meaning of its own, such as the selection of an application that most cards do not have.
 * Cards refuse it in many ways, so a status word that may be an accident is asked about once more: a card that repeats it means it.
 */
export async function confirmedAnswer(send: () => Promise<ResponseApdu>): Promise<ResponseApdu> {
  const first = await send();
  const certain = first.sw === SW.OK || first.sw >> 8 === SW.BYTES_AVAILABLE >> 8 || isNothingThere(first.sw);
  return certain ? first : send();
}

/**
 * What `look` finds; undefined where the card refuses, or where what it answers does not parse. As with {@link confirmedAnswer},
 * a failure that is not an answer counts only when it comes twice.
 */
export async function unlessRefused<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch (error) {
    if (isAnswer(error) || (error instanceof StatusError && isNothingThere(error.sw))) return undefined;
    if (!isRefusal(error)) throw error;
  }
  try {
    return await look();
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/**
 * What `read` gives. What does not parse is read once more: it may have been broken on its way, and only what comes broken twice
 * stands so on the card.
 */
export async function readTwiceIfMalformed<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isMalformed(error)) throw error;
  }
  return read();
}

/** Whether something that the card holds does not parse. */
export function isMalformed(error: unknown): error is DataError | MalformedAnswerError {
  return error instanceof DataError || error instanceof MalformedAnswerError;
}

const isRefusal = (error: unknown): boolean => error instanceof CardError || error instanceof DataError;
