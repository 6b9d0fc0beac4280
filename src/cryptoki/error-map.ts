import { DataError } from "../bytes/index.ts";
import {
  CardAccessError,
  CardCancelledError,
  CardError,
  CardGoneError,
  LoginRequiredError,
  MalformedAnswerError,
  ObjectGoneError,
  PinError,
  PinUncertainError,
  type PinFailure,
  StatusError,
  UnsupportedError,
  UseRefusedError,
} from "../card/index.ts";
import { CKR } from "./constants/ckr.ts";
import { CryptokiError } from "./error.ts";

const PIN: Readonly<Record<PinFailure, number>> = {
  incorrect: CKR.PIN_INCORRECT,
  blocked: CKR.PIN_LOCKED,
  // For functions that set a PIN; a login says CKR_PIN_INCORRECT (Logins).
  length: CKR.PIN_LEN_RANGE,
  // CKR_PIN_INVALID is for functions that set a PIN, and applications take it from no other.
  characters: CKR.PIN_INCORRECT,
  unacceptable: CKR.PIN_INVALID,
  "not-set": CKR.USER_PIN_NOT_INITIALIZED,
};

/** Status words (ISO/IEC 7816-4 table 6) that mean more than CKR_DEVICE_ERROR. */
const STATUS: ReadonlyMap<number, number> = new Map([
  [0x6982, CKR.USER_NOT_LOGGED_IN],
  [0x6983, CKR.PIN_LOCKED],
  [0x6a84, CKR.DEVICE_MEMORY],
]);

/** What a wait ends with when the caller's signal aborts: CKR_FUNCTION_CANCELED, the signal's reason as its cause. */
export function cancelled(reason: unknown): CryptokiError {
  return new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause: reason });
}

/** Whether `error` says that the card, its reader or the way to it is gone. */
export function isGone(error: unknown): boolean {
  return error instanceof CardGoneError || (error instanceof PinUncertainError && error.isGone);
}

/** Any error as the one that a C_ function throws; the lower error is its cause. */
export function toCryptokiError(error: unknown): CryptokiError {
  if (error instanceof CryptokiError) return error;
  return new CryptokiError(returnValue(error), error instanceof Error ? error.message : undefined, { cause: error });
}

function returnValue(error: unknown): number {
  if (isGone(error)) return CKR.DEVICE_REMOVED;
  if (error instanceof CardCancelledError) return CKR.FUNCTION_CANCELED;
  // The standard has no name for a card that another program holds.
  if (error instanceof CardAccessError) return CKR.DEVICE_ERROR;
  if (error instanceof PinError) return PIN[error.reason];
  if (error instanceof ObjectGoneError) return CKR.OBJECT_HANDLE_INVALID;
  if (error instanceof LoginRequiredError) return CKR.USER_NOT_LOGGED_IN;
  if (error instanceof UseRefusedError) return CKR.FUNCTION_REJECTED;
  if (error instanceof UnsupportedError) return CKR.FUNCTION_NOT_SUPPORTED;
  if (error instanceof StatusError) return STATUS.get(error.sw) ?? CKR.DEVICE_ERROR;
  if (error instanceof MalformedAnswerError || error instanceof CardError) return CKR.DEVICE_ERROR;
  // What a caller gave was checked where it came in (blame): what fails now is what the card gave.
  if (error instanceof DataError) return CKR.DEVICE_ERROR;
  if (isAbort(error)) return CKR.FUNCTION_CANCELED;
  return CKR.GENERAL_ERROR;
}

/** What AbortSignal.abort() and AbortSignal.timeout() give as their reason. */
const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && (error.name === "AbortError" || error.name === "TimeoutError");

/** Waits for a card that deciphers: data that is wrong for it is a ciphertext that is wrong. */
export async function deciphered<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StatusError) || error.sw !== 0x6a80) throw error;
    throw new CryptokiError(CKR.ENCRYPTED_DATA_INVALID, error.message, { cause: error });
  }
}

/** Runs `work` on something that the caller gave: bytes that do not fit are told as `rv`. */
export function blame<T>(rv: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new CryptokiError(rv, error.message, { cause: error });
  }
}
