import { copySecret, secretUtf8, wipe } from "../bytes/index.ts";
import { CKR } from "./constants/ckr.ts";
import { CryptokiError } from "./errors.ts";

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a Uint8Array: callers in JavaScript have no types. */
export function requireBytes(value: Uint8Array, what: string): void {
  if (!((value as unknown) instanceof Uint8Array)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, `${what} must be a Uint8Array`);
  }
}

/** Copies a caller's bytes into a buffer for secrets: they may be a plaintext or a key. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return copySecret(bytes);
}

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

/**
 * A PIN from a caller: text is encoded as UTF-8; null means that the user types it on the reader
 * (CKF_PROTECTED_AUTHENTICATION_PATH).
 */
export type Pin = string | Uint8Array | null;

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD: callers in JavaScript have no types. */
export function requirePin(pin: Pin, what = "the PIN"): void {
  if (typeof pin === "string" || pin === null || (pin as unknown) instanceof Uint8Array) return;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, `${what} is a string or a Uint8Array`);
}

/**
 * Copies a PIN; the driver owns and wipes the copy.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD for null, if the caller must give a PIN.
 */
export function copyPin(pin: Pin): Uint8Array {
  if (pin !== null) return typeof pin === "string" ? secretUtf8(pin) : copySecret(pin);
  throw new CryptokiError(
    CKR.ARGUMENTS_BAD,
    "null leaves the PIN to the keys of a reader, and this one has none for it",
  );
}

/** Runs `work` with a copy of a PIN, and wipes it. Errors as for {@link copyPin}, and those of `work`. */
export async function withPin<T>(pin: Pin, work: (copy: Uint8Array) => Promise<T>): Promise<T> {
  const copy = copyPin(pin);
  try {
    return await work(copy);
  } finally {
    wipe(copy);
  }
}
