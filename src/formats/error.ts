/** What goes wrong with a format, beside what the key's {@link TokenError} tells. */
export type FormatProblem =
  /** The package that knows the format is not installed; the message has the line that installs it. */
  | "LIBRARY_MISSING"
  /** The document cannot be parsed, or has something that is not supported here. */
  | "MALFORMED"
  /** The signature does not verify, or its certificate leads to none that is trusted. */
  | "NOT_VALID"
  /** The certificate has expired, is not valid yet, or is for another use; only with `strict`. */
  | "CERTIFICATE_UNFIT"
  /** The document is encrypted, and cannot be signed so. */
  | "ENCRYPTED"
  /** The document was certified: its author allows no further signature. */
  | "CERTIFIED"
  /** The file is signed, and a further signature would take the place of that one. */
  | "ALREADY_SIGNED"
  /** The time-stamping authority gave no usable token. */
  | "TIMESTAMP"
  /** The message is not for this key, or was altered. */
  | "NOT_DECRYPTED";

/** A document cannot be signed, verified, encrypted or decrypted as asked. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly code: FormatProblem;

  constructor(code: FormatProblem, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }

  /** Whether the error has one of these codes. */
  is(...codes: readonly FormatProblem[]): boolean {
    return codes.includes(this.code);
  }
}

/** Runs a library's parser on a document. @throws {FormatError} MALFORMED in place of what the library throws. */
export function parsing<T>(what: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError("MALFORMED", `${what} cannot be parsed: ${messageOf(cause)}`, { cause });
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
