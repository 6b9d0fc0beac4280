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
  type PinFailure,
  PinUncertainError,
  StatusError,
  UnsupportedError,
  UseRefusedError,
} from "../card/index.ts";
import { CKR } from "./constants/ckr.ts";
import { nameOf } from "./constants/name.ts";

/** What happened and what to do about it, for the common return values. */
const ADVICE: ReadonlyMap<number, string> = new Map([
  [CKR.CANCEL, "the operation was cancelled; nothing was done"],
  [CKR.HOST_MEMORY, "out of memory"],
  [CKR.SLOT_ID_INVALID, "no such slot; ask C_GetSlotList for the slots there are"],
  [CKR.GENERAL_ERROR, "an unexpected failure; the cause says more"],
  [CKR.FUNCTION_FAILED, "the function could not be carried out; the cause says more"],
  [CKR.ARGUMENTS_BAD, "an argument has the wrong type or is missing"],
  [CKR.NO_EVENT, "no slot has changed since the last call"],
  [CKR.ATTRIBUTE_READ_ONLY, "this attribute cannot be changed"],
  [CKR.ATTRIBUTE_SENSITIVE, "the attribute never leaves the card"],
  [CKR.ATTRIBUTE_TYPE_INVALID, "the object has no such attribute"],
  [CKR.ATTRIBUTE_VALUE_INVALID, "the attribute cannot have this value"],
  [CKR.ACTION_PROHIBITED, "the object's attributes forbid this"],
  [CKR.DATA_INVALID, "the data cannot be processed with this mechanism"],
  [CKR.DATA_LEN_RANGE, "the data is too long or too short for this mechanism and key"],
  [CKR.DEVICE_ERROR, "the card or the reader failed; take the card out, put it in and try again"],
  [CKR.DEVICE_MEMORY, "the card has no room left; delete an object that is not needed"],
  [CKR.DEVICE_REMOVED, "the card was taken out; put it in and open a new session"],
  [CKR.ENCRYPTED_DATA_INVALID, "the ciphertext was not made for this key and mechanism"],
  [CKR.ENCRYPTED_DATA_LEN_RANGE, "the ciphertext must be as long as the key's modulus"],
  [CKR.FUNCTION_CANCELED, "the function was cancelled before it ended"],
  [CKR.FUNCTION_NOT_SUPPORTED, "this token does not support the function; C_GetMechanismList lists what it supports"],
  [CKR.KEY_HANDLE_INVALID, "no such key; find it again with C_FindObjects"],
  [CKR.KEY_SIZE_RANGE, "the card does not support keys of this size; see C_GetMechanismInfo"],
  [CKR.KEY_TYPE_INCONSISTENT, "the mechanism needs a key of another type"],
  [CKR.KEY_FUNCTION_NOT_PERMITTED, "the key does not allow this; see CKA_SIGN, CKA_DECRYPT and CKA_DERIVE"],
  [CKR.KEY_UNEXTRACTABLE, "the key never leaves the card"],
  [
    CKR.MECHANISM_INVALID,
    "the token does not support the mechanism for this; C_GetMechanismList lists the supported ones",
  ],
  [CKR.MECHANISM_PARAM_INVALID, "the mechanism's parameter is missing or does not fit"],
  [CKR.OBJECT_HANDLE_INVALID, "no such object; find it again with C_FindObjects"],
  [CKR.OPERATION_ACTIVE, "another operation of this kind is under way in this session; end it first"],
  [CKR.OPERATION_NOT_INITIALIZED, "call the matching C_...Init first"],
  [CKR.PIN_INCORRECT, "wrong PIN; see how many tries are left before you try again"],
  [CKR.PIN_INVALID, "the new PIN has a character that this card does not accept"],
  [CKR.PIN_LEN_RANGE, "the PIN is too short or too long for this card; no try was spent"],
  [CKR.PIN_EXPIRED, "the PIN must be changed before it can be used: C_SetPIN"],
  [CKR.PIN_LOCKED, "no tries left; unblock the PIN with the PUK or the security officer's PIN"],
  [CKR.SESSION_CLOSED, "the session was closed meanwhile; open a new one"],
  [CKR.SESSION_COUNT, "too many sessions are open; close one"],
  [CKR.SESSION_HANDLE_INVALID, "no such session, or its card was taken out; open a new one"],
  [CKR.SESSION_PARALLEL_NOT_SUPPORTED, "C_OpenSession needs CKF_SERIAL_SESSION"],
  [CKR.SESSION_READ_ONLY, "open the session with CKF_RW_SESSION"],
  [CKR.SESSION_EXISTS, "close all sessions with this token first"],
  [CKR.SESSION_READ_ONLY_EXISTS, "close the read-only sessions before the security officer logs in"],
  [CKR.SESSION_READ_WRITE_SO_EXISTS, "the security officer is logged in: only read/write sessions until C_Logout"],
  [CKR.SIGNATURE_INVALID, "the signature does not belong to this data and key"],
  [CKR.SIGNATURE_LEN_RANGE, "a signature with this key has another length"],
  [CKR.TEMPLATE_INCOMPLETE, "the template lacks an attribute that is needed"],
  [CKR.TEMPLATE_INCONSISTENT, "the template's attributes contradict each other or the function"],
  [CKR.TOKEN_NOT_PRESENT, "no card in this reader; put it in"],
  [CKR.TOKEN_NOT_RECOGNIZED, "no card application that this driver recognises is on the card"],
  [CKR.TOKEN_WRITE_PROTECTED, "this token cannot be changed"],
  [CKR.USER_ALREADY_LOGGED_IN, "this user is logged in already"],
  [
    CKR.USER_NOT_LOGGED_IN,
    "log in with C_Login; an always-authenticate key needs CKU_CONTEXT_SPECIFIC before each use",
  ],
  [CKR.USER_PIN_NOT_INITIALIZED, "the user has no PIN yet; the security officer sets it with C_InitPIN"],
  [CKR.USER_TYPE_INVALID, "no such user: CKU_USER, CKU_SO or CKU_CONTEXT_SPECIFIC"],
  [CKR.USER_ANOTHER_ALREADY_LOGGED_IN, "another user is logged in; C_Logout first"],
  [CKR.RANDOM_SEED_NOT_SUPPORTED, "the random number generator takes no seed"],
  [CKR.RANDOM_NO_RNG, "the token has no random number generator"],
  [CKR.DOMAIN_PARAMS_INVALID, "these domain parameters are not known"],
  [CKR.CURVE_NOT_SUPPORTED, "the card does not support this curve"],
  [CKR.BUFFER_TOO_SMALL, "the output is longer than the buffer for it"],
  [CKR.CRYPTOKI_NOT_INITIALIZED, "call C_Initialize first"],
  [CKR.CRYPTOKI_ALREADY_INITIALIZED, "C_Initialize was called before"],
  [CKR.LIBRARY_LOAD_FAILED, "a part of the library could not be loaded; the cause says which"],
  [CKR.PIN_TOO_WEAK, "the card's rules require a stronger PIN"],
  [CKR.PUBLIC_KEY_INVALID, "the public key or point is not valid"],
  [CKR.FUNCTION_REJECTED, "the card's holder refused"],
  [CKR.OPERATION_CANCEL_FAILED, "the operation could not be cancelled"],
]);

/** The name of a return value: "CKR_PIN_INCORRECT". */
export type ReturnValueName = `CKR_${string}`;

/**
 * A Cryptoki function did not return CKR_OK. The message begins with {@link code} and says what to do; `cause` holds the lower
 * error, if there is one.
 */
export class CryptokiError extends Error {
  override readonly name = "CryptokiError";
  /** The name of the return value: "CKR_PIN_INCORRECT". */
  readonly code: ReturnValueName;
  /** The CKR_ number. */
  readonly rv: number;

  /** @param detail What happened and what to do, if there is more to say than the return value's own text. */
  constructor(rv: number, detail?: string, options?: ErrorOptions) {
    const code = nameOf("CKR", rv);
    super([code, detail ?? ADVICE.get(rv)].filter(Boolean).join(": "), options);
    this.code = code as ReturnValueName;
    this.rv = rv;
  }

  /** Whether it is this return value: `error.is("CKR_PIN_INCORRECT")`, or `error.is(CKR.PIN_INCORRECT)`. */
  is(code: ReturnValueName | number): boolean {
    return code === this.code || code === this.rv;
  }
}

const PIN: Readonly<Record<PinFailure, number>> = {
  incorrect: CKR.PIN_INCORRECT,
  blocked: CKR.PIN_LOCKED,
  // For functions that set a PIN; a login throws CKR_PIN_INCORRECT (Logins).
  length: CKR.PIN_LEN_RANGE,
  // CKR_PIN_INVALID is for functions that set a PIN; applications expect it from no other.
  characters: CKR.PIN_INCORRECT,
  unacceptable: CKR.PIN_INVALID,
  "not-set": CKR.USER_PIN_NOT_INITIALIZED,
};

/** Status words (ISO/IEC 7816-4 table 6) with a more specific return value than CKR_DEVICE_ERROR. */
const STATUS: ReadonlyMap<number, number> = new Map([
  [0x6982, CKR.USER_NOT_LOGGED_IN],
  [0x6983, CKR.PIN_LOCKED],
  [0x6a84, CKR.DEVICE_MEMORY],
]);

/** The error of a wait when the caller's signal aborts: CKR_FUNCTION_CANCELED, the signal's reason as its cause. */
export function cancelled(reason: unknown): CryptokiError {
  return new CryptokiError(CKR.FUNCTION_CANCELED, undefined, { cause: reason });
}

/** Whether `error` means that the card, its reader or the connection to it is gone. */
export function isGone(error: unknown): boolean {
  return error instanceof CardGoneError || (error instanceof PinUncertainError && error.isGone);
}

/** Converts any error to one that a C_ function throws, with the lower error as its cause. */
export function toCryptokiError(error: unknown): CryptokiError {
  if (error instanceof CryptokiError) return error;
  return new CryptokiError(returnValue(error), error instanceof Error ? error.message : undefined, { cause: error });
}

function returnValue(error: unknown): number {
  if (isGone(error)) return CKR.DEVICE_REMOVED;
  if (error instanceof CardCancelledError) return CKR.FUNCTION_CANCELED;
  // The standard has no return value for a card that another program holds.
  if (error instanceof CardAccessError) return CKR.DEVICE_ERROR;
  if (error instanceof PinError) return PIN[error.reason];
  if (error instanceof ObjectGoneError) return CKR.OBJECT_HANDLE_INVALID;
  if (error instanceof LoginRequiredError) return CKR.USER_NOT_LOGGED_IN;
  if (error instanceof UseRefusedError) return CKR.FUNCTION_REJECTED;
  if (error instanceof UnsupportedError) return CKR.FUNCTION_NOT_SUPPORTED;
  if (error instanceof StatusError) return STATUS.get(error.sw) ?? CKR.DEVICE_ERROR;
  if (error instanceof MalformedAnswerError || error instanceof CardError) return CKR.DEVICE_ERROR;
  // Caller input was validated earlier (asCallerError), so a DataError here is the card's.
  if (error instanceof DataError) return CKR.DEVICE_ERROR;
  if (isAbort(error)) return CKR.FUNCTION_CANCELED;
  return CKR.GENERAL_ERROR;
}

/** The reasons of AbortSignal.abort() and AbortSignal.timeout(). */
const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && (error.name === "AbortError" || error.name === "TimeoutError");

/** Waits for a card that deciphers: "wrong data" then means a wrong ciphertext. */
export async function mapDecryptionError<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof StatusError) || error.sw !== 0x6a80) throw error;
    throw new CryptokiError(CKR.ENCRYPTED_DATA_INVALID, error.message, { cause: error });
  }
}

/** Runs `work` on the caller's input: a DataError becomes `rv`. */
export function asCallerError<T>(rv: number, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw callerError(rv, error);
  }
}

/** As {@link asCallerError}, for asynchronous work. */
export async function asCallerErrorAsync<T>(rv: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw callerError(rv, error);
  }
}

const callerError = (rv: number, error: unknown): unknown =>
  error instanceof DataError ? new CryptokiError(rv, error.message, { cause: error }) : error;

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a Uint8Array: callers in JavaScript have no types. */
export function requireBytes(value: Uint8Array, what: string): void {
  if (!((value as unknown) instanceof Uint8Array)) throw notBytes(what);
}

/** The error for anything but a Uint8Array. */
export const notBytes = (what: string): CryptokiError =>
  new CryptokiError(CKR.ARGUMENTS_BAD, `${what} must be a Uint8Array`);

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a whole number from 0 to `max`. */
export function requireCount(value: number, what: string, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, `${what} must be a whole number from 0 to ${max}`);
  }
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a valid CK_ULONG. */
export function requireFlags(value: number): void {
  requireCount(value, "the flags", Number.MAX_SAFE_INTEGER);
}
