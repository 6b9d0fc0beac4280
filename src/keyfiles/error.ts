/** Why a file gives no key. */
export type KeyFileProblem =
  /** There is no private key in it, or more than one. */
  | "NO_KEY"
  /** It is encrypted, and there is no password. */
  | "PASSWORD_MISSING"
  | "WRONG_PASSWORD"
  /** The key, or the encryption, is of a kind that is not supported; the message says what to do. */
  | "UNSUPPORTED"
  | "MALFORMED";

/** A file gives no private key. */
export class KeyFileError extends Error {
  override readonly name = "KeyFileError";
  readonly code: KeyFileProblem;

  constructor(code: KeyFileProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
