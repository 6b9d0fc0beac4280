/** Errors of the program itself, beside those of the library. */
abstract class CliError extends Error {}

/** The command line asks for something that cannot be, or not clearly enough. */
export class UsageError extends CliError {
  override readonly name = "UsageError";
  /** What it could mean, if it fits more than one thing. */
  readonly candidates: readonly string[];

  constructor(message: string, options: ErrorOptions & { readonly candidates?: readonly string[] } = {}) {
    super(message, options);
    this.candidates = options.candidates ?? [];
  }
}

/** No reader, card, token or object is what was asked for. */
export class NotFoundError extends CliError {
  override readonly name = "NotFoundError";
}

/** An object is on the card, and what is in it is damaged or refused. */
export class UnreadableObjectError extends CliError {
  override readonly name = "UnreadableObjectError";
}

/** A PIN is needed and there is none. */
export class PinMissingError extends CliError {
  override readonly name = "PinMissingError";
}

/** A file, or a standard stream, cannot be read or written, or holds something else than it should. */
export class FileError extends CliError {
  override readonly name = "FileError";
}

/** The work came to its end and the answer is no: the signature is not valid. */
export class RefutedError extends CliError {
  override readonly name = "RefutedError";
}

/** The card was examined and has a defect; the report says which. */
export class UnsoundCardError extends CliError {
  override readonly name = "UnsoundCardError";
}

/** The user, or a reader of the output that went away, ended the program. */
export class InterruptedError extends CliError {
  override readonly name = "InterruptedError";
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The time that --timeout gave ran out. */
export class TimeoutError extends CliError {
  override readonly name = "TimeoutError";
}

/** What was started in the background did not come up. */
export class CliProcessError extends CliError {
  override readonly name = "CliProcessError";
}
