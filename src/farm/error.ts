/** What is wrong with a farm as a whole, not with one call. */
export type FarmErrorCode =
  /** An optional package is not installed. */
  | "LIBRARY_MISSING"
  /** The NATS server cannot be reached, or refuses this client. */
  | "NO_SERVER"
  /** The server has no stream of a farm: no worker was started there. */
  | "NO_STREAM"
  /** The server has no JetStream, or a stream of this name with other settings. */
  | "STREAM_REFUSED"
  /** An option or a message that is malformed. */
  | "BAD_INPUT";

/** A farm cannot be used: of the connection, the stream or the options. Calls of C_ functions have CryptokiError. */
export class FarmError extends Error {
  override readonly name = "FarmError";
  readonly code: FarmErrorCode;

  constructor(code: FarmErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
