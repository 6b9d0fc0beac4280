import { CommanderError } from "commander";
import { PinError } from "../../card/index.ts";
import { CKR, CryptokiError } from "../../cryptoki/index.ts";
import { PcscError, type ScardErrorName } from "../../pcsc/index.ts";

/** Errors of the command line program, in addition to those of the library. */
abstract class CliError extends Error {}

/** The command line is wrong or ambiguous. */
export class UsageError extends CliError {
  override readonly name = "UsageError";
  /** The candidates, if the command line matches several things. */
  readonly candidates: readonly string[];

  constructor(message: string, options: ErrorOptions & { readonly candidates?: readonly string[] } = {}) {
    super(message, options);
    this.candidates = options.candidates ?? [];
  }
}

/**
 * The command line is right, but this card cannot do it, holds something else already, or the question about it was not answered with yes:
 * the help of the command says nothing more.
 */
export class UnsuitableCardError extends UsageError {}

/** There is no such reader, card, token or object. */
export class NotFoundError extends CliError {
  override readonly name = "NotFoundError";
}

/** An object on the card is damaged, or the card refuses to give it. */
export class UnreadableObjectError extends CliError {
  override readonly name = "UnreadableObjectError";
}

/** A PIN is needed and there is none. */
export class PinMissingError extends CliError {
  override readonly name = "PinMissingError";
}

/** A file, or a standard stream, cannot be read or written, or has other contents than it should. */
export class FileError extends CliError {
  override readonly name = "FileError";
}

/** The work is done and the answer is no: the signature is not valid. */
export class VerificationFailedError extends CliError {
  override readonly name = "VerificationFailedError";
}

/** The card was examined and has a defect, which the report names. */
export class UnsoundCardError extends CliError {
  override readonly name = "UnsoundCardError";
}

/** The user, or the end of the output's reader, ended the program. */
export class InterruptedError extends CliError {
  override readonly name = "InterruptedError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The time of --timeout is over. */
export class TimeoutError extends CliError {
  override readonly name = "TimeoutError";
}

/** The program in the background did not start. */
export class CliProcessError extends CliError {
  override readonly name = "CliProcessError";
}

/** Exit codes. Scripts rely on them. */
export const EXIT = {
  OK: 0,
  /** The work failed, or a signature does not verify. */
  FAILURE: 1,
  /** The command line is wrong or ambiguous. */
  USAGE: 2,
  /** No smart-card service, reader, card, token or object that fits. */
  NOT_FOUND: 3,
  /** The PIN is wrong, blocked, of the wrong length, or missing; the password of a key file likewise. */
  PIN: 4,
  /** `card doctor` found a defect. */
  DEFECT: 5,
} as const;

const ABSENT: readonly ScardErrorName[] = [
  "SCARD_E_UNKNOWN_READER",
  "SCARD_E_NO_SMARTCARD",
  "SCARD_E_READER_UNAVAILABLE",
  "SCARD_E_NO_SERVICE",
  "SCARD_E_SERVICE_STOPPED",
  "SCARD_E_NO_READERS_AVAILABLE",
  "SCARD_W_REMOVED_CARD",
];

const CODES = new Map<number, number>([
  [CKR.TOKEN_NOT_PRESENT, EXIT.NOT_FOUND],
  [CKR.TOKEN_NOT_RECOGNIZED, EXIT.NOT_FOUND],
  [CKR.DEVICE_REMOVED, EXIT.NOT_FOUND],
  [CKR.SLOT_ID_INVALID, EXIT.NOT_FOUND],
  [CKR.PIN_INCORRECT, EXIT.PIN],
  [CKR.PIN_INVALID, EXIT.PIN],
  [CKR.PIN_LEN_RANGE, EXIT.PIN],
  [CKR.PIN_EXPIRED, EXIT.PIN],
  [CKR.PIN_LOCKED, EXIT.PIN],
  [CKR.PIN_TOO_WEAK, EXIT.PIN],
  [CKR.USER_NOT_LOGGED_IN, EXIT.PIN],
  [CKR.USER_PIN_NOT_INITIALIZED, EXIT.PIN],
]);

/** The exit code for an error: that of the first error in its chain of causes with a specific one. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof InterruptedError) return error.exitCode;
  for (let link = error; link instanceof Error; link = link.cause) {
    const code = ownCode(link);
    if (code !== EXIT.FAILURE) return code;
  }
  return EXIT.FAILURE;
}

/** Compares names, so that the errors' modules are loaded only when they are used. */
const OF_LAZY_ROOMS: ReadonlySet<string> = new Set(["VpcdError", "P11KitError"]);

/** The code of an error of src/certificates or src/keyfiles; undefined for another one. */
function codeOfFile(error: Error): number | undefined {
  const code: unknown = "code" in error ? error.code : undefined;
  if (error.name === "CertificateError") return code === "NOT_FOUND" ? EXIT.NOT_FOUND : EXIT.USAGE;
  if (error.name !== "KeyFileError") return undefined;
  return code === "WRONG_PASSWORD" || code === "PASSWORD_MISSING" ? EXIT.PIN : EXIT.FAILURE;
}

function ownCode(error: Error): number {
  if (error instanceof UsageError || error instanceof CommanderError) return EXIT.USAGE;
  if (error instanceof NotFoundError || OF_LAZY_ROOMS.has(error.name)) return EXIT.NOT_FOUND;
  const ofFile = codeOfFile(error);
  if (ofFile !== undefined) return ofFile;
  if (error instanceof UnsoundCardError) return EXIT.DEFECT;
  if (error instanceof PinMissingError || error instanceof PinError) return EXIT.PIN;
  if (error instanceof PcscError) return error.is(...ABSENT) ? EXIT.NOT_FOUND : EXIT.FAILURE;
  if (error instanceof CryptokiError) return CODES.get(error.rv) ?? EXIT.FAILURE;
  return EXIT.FAILURE;
}
