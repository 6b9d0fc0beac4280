import { CardError, MalformedAnswerError, type ResponseApdu, StatusError, SW } from "../apdu/index.ts";
import { type CallOptions, signalOf, throwIfAborted, untilAborted } from "../async/index.ts";
import { DataError } from "../bytes/index.ts";
import { PcscError, type ScardErrorName } from "../pcsc/error.ts";

export type PinFailure =
  /** The card compared and refused; a try is spent. */
  | "incorrect"
  /** No tries left. */
  | "blocked"
  /** Shorter or longer than the card accepts; nothing was sent to the card. */
  | "length"
  /** A character that this PIN cannot have; nothing was sent to the card. */
  | "characters"
  /** A new PIN that the card's rules do not allow; no try is spent. */
  | "unacceptable"
  /** This PIN has not been set yet. */
  | "not-set";

/** A PIN was not accepted. The error never contains the PIN. */
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

/** The card needs the PIN before this: it was never given, was forgotten after a reset, or is needed for each use. */
export class LoginRequiredError extends CardError {
  override readonly name = "LoginRequiredError";
  /** Who must log in, where that is known. */
  readonly user: "user" | "so" | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly user?: "user" | "so" }) {
    super(message, options);
    this.user = options?.user;
  }
}

/**
 * The card refused this use of a key although the PIN is verified: a touch was missing, or its holder or rules do not
 * allow it. The login stays, and the use may be repeated.
 */
export class UseRefusedError extends CardError {
  override readonly name = "UseRefusedError";
}

/** The object is not on the card any more: another program deleted it. */
export class ObjectGoneError extends CardError {
  override readonly name = "ObjectGoneError";
}

/** The card, or this profile, does not support the request. */
export class UnsupportedError extends CardError {
  override readonly name = "UnsupportedError";
  /** What the request lacked, if that is the reason: the identifier of a new key that names its slot. */
  readonly lacks: "id" | undefined;

  constructor(message: string, options?: ErrorOptions & { readonly lacks?: "id" }) {
    super(message, options);
    this.lacks = options?.lacks;
  }
}

/**
 * The connection to the card failed, not the card: it is not a {@link CardError}, because code that tolerates a card's
 * refusal must not swallow transport errors. The resource manager's error is the cause, with the same message.
 */
export class CardAccessError extends Error {
  override readonly name: string = "CardAccessError";
}

/** The card, its reader or the service is gone: every further call over this connection fails. */
export class CardGoneError extends CardAccessError {
  override readonly name = "CardGoneError";
}

/** Another program reset the card during the work: verified PINs and selections are lost. */
export class CardResetError extends CardAccessError {
  override readonly name = "CardResetError";
}

/** Another program holds the card, for longer than this one waits. */
export class CardBusyError extends CardAccessError {
  override readonly name = "CardBusyError";
}

/** The caller's signal ended the wait, or the exchange. */
export class CardCancelledError extends CardAccessError {
  override readonly name = "CardCancelledError";
}

/** The card or its reader gave no answer in time. The exchange was abandoned with its connection; the card is reset. */
export class CardTimeoutError extends CardAccessError {
  override readonly name = "CardTimeoutError";
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

type AccessErrorClass = new (message: string, options: ErrorOptions) => CardAccessError;

/** The error class of each code; any other is a {@link CardAccessError}. */
const CLASSES: Readonly<Partial<Record<ScardErrorName, AccessErrorClass>>> = {
  SCARD_E_CANCELLED: CardCancelledError,
  SCARD_E_TIMEOUT: CardTimeoutError,
  SCARD_W_RESET_CARD: CardResetError,
  SCARD_E_SHARING_VIOLATION: CardBusyError,
  // For callers a removed card, reader and daemon are the same.
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

/** Converts an error of PC/SC; returns any other unchanged. */
export function toAccessError(error: unknown): unknown {
  if (!(error instanceof PcscError)) return error;
  const AccessError = BY_NAME.get(error.codeName) ?? CardAccessError;
  return new AccessError(error.message, { cause: error });
}

/** Runs `work` and converts its errors with {@link toAccessError}. */
export async function translatePcscErrors<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw toAccessError(error);
  }
}

/** The error of a call whose last argument is not `{ signal }`, for {@link signalOf}. */
export function badOptions(problem: string): CardError {
  return new CardError(problem);
}

/** The signal in a call's options. @throws {CardError} for anything but options. */
export function callSignal(options: CallOptions | undefined): AbortSignal | undefined {
  return signalOf(options, badOptions);
}

/**
 * The outcome of `read`, for a method of the contract whose work cannot watch the signal itself because other callers share its result. An
 * abort ends this caller's wait; the work is finished behind it.
 * @throws {CardCancelledError} after an abort; if there was one already, `read` is not called. {CardError} for anything but options.
 */
export async function untilCancelled<T>(options: CallOptions | undefined, read: () => T | Promise<T>): Promise<T> {
  const signal = callSignal(options);
  throwIfAborted(signal, cancelled);
  return untilAborted(Promise.resolve(read()), signal, cancelled);
}

/** As {@link untilCancelled}, for work that is done even if the signal has aborted before: a logout. */
export async function completedAnyway<T>(options: CallOptions | undefined, work: () => Promise<T>): Promise<T> {
  const signal = callSignal(options);
  return untilAborted(work(), signal, cancelled);
}

/** What an aborted wait for the card rejects with. */
export function cancelled(reason: unknown): CardCancelledError {
  return reason instanceof CardCancelledError
    ? reason
    : new CardCancelledError("the call was cancelled", { cause: reason });
}

/** Runs work on a card, once more if another program resets it meanwhile. Not for work that must not be repeated. */
export async function afterReset<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof CardResetError)) throw error;
    return read();
  }
}

/** Status words for an absent file, record or object (ISO/IEC 7816-4 section 5.6, table 6). */
const NOT_FOUND: ReadonlySet<number> = new Set([SW.FILE_NOT_FOUND, SW.RECORD_NOT_FOUND, SW.REFERENCED_DATA_NOT_FOUND]);

/** Whether the status word means that the requested object is absent. */
export function isNotFound(sw: number): boolean {
  return NOT_FOUND.has(sw);
}

/**
 * Whether `error` is the card's answer about the requested file or object: it is absent, or needs a PIN. Only such an
 * answer may be cached. Any other status word concerns this one exchange.
 */
export function isAnswer(error: unknown): error is StatusError {
  return error instanceof StatusError && (isNotFound(error.sw) || error.sw === SW.SECURITY_STATUS_NOT_SATISFIED);
}

/** A Java Card's answer without a suitable applet (ISO7816.SW_APPLET_SELECT_FAILED of its API). */
const NO_APPLET = 0x6999;

const isNothingThere = (sw: number): boolean => isNotFound(sw) || sw === NO_APPLET;

/**
 * Sends a command whose refusal has a meaning, such as the selection of an application that most cards lack. Cards
 * refuse it in different ways, so an ambiguous status word is confirmed by a second attempt.
 */
export async function confirmedAnswer(send: () => Promise<ResponseApdu>): Promise<ResponseApdu> {
  const first = await send();
  const certain = first.sw === SW.OK || first.sw >> 8 === SW.BYTES_AVAILABLE >> 8 || isNothingThere(first.sw);
  return certain ? first : send();
}

/**
 * The result of `look`; undefined if the card refuses, or its answer does not parse. As with {@link confirmedAnswer}, a
 * failure that is not an answer counts only when it comes twice.
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
 * The result of `read`. If it does not parse, it is read once more, because a transmission error is possible; only a
 * second failure counts.
 */
export async function readTwiceIfMalformed<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!isMalformed(error)) throw error;
  }
  return read();
}

/** Whether the error means malformed data on the card. */
export function isMalformed(error: unknown): error is DataError | MalformedAnswerError {
  return error instanceof DataError || error instanceof MalformedAnswerError;
}

const isRefusal = (error: unknown): boolean => error instanceof CardError || error instanceof DataError;
