import { copySecret } from "../bytes/index.ts";
import { CKR } from "./constants/ckr.ts";
import { CryptokiError } from "./error.ts";

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a Uint8Array: callers in JavaScript have no types. */
export function requireBytes(value: Uint8Array, what: string): void {
  if (!((value as unknown) instanceof Uint8Array)) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, `${what} must be a Uint8Array`);
  }
}

/** A copy of what a caller gave, fit for secrets: a plaintext or a key may be in it. */
export function copyBytes(bytes: Uint8Array): Uint8Array {
  return copySecret(bytes);
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a whole number from 0 to `max`. */
export function requireCount(value: number, what: string, max: number): void {
  if (!Number.isInteger(value) || value < 0 || value > max) {
    throw new CryptokiError(CKR.ARGUMENTS_BAD, `${what} must be a whole number from 0 to ${max}`);
  }
}

/** @throws {CryptokiError} CKR_ARGUMENTS_BAD unless `value` is a number as C has it. */
export function requireFlags(value: number): void {
  requireCount(value, "the flags", Number.MAX_SAFE_INTEGER);
}
