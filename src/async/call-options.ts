/** What every call that takes time takes as its last argument. */
export interface CallOptions {
  /**
   * Ends the caller's wait, with the error of the layer that was called (CKR_FUNCTION_CANCELED, CardCancelledError, SCARD_E_CANCELLED).
   * An exchange with a card that is under way is finished behind the caller.
   */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The signal in a call's options.
 * @param asError Makes the error of the caller's layer from a sentence that says what is wrong.
 * @throws what `asError` makes, for anything but options: callers in JavaScript have no types.
 */
export function signalOf(
  options: CallOptions | undefined,
  asError: (problem: string) => Error,
): AbortSignal | undefined {
  const given: unknown = options;
  if (given === undefined) return undefined;
  if (given instanceof AbortSignal) throw asError("the last argument is { signal }, and not the AbortSignal itself");
  if (typeof given !== "object" || given === null || Array.isArray(given) || ArrayBuffer.isView(given)) {
    throw asError("the last argument is { signal }, or left out; lengths are not given");
  }
  const { signal } = given as { readonly signal?: unknown };
  if (signal === undefined || signal instanceof AbortSignal) return signal;
  throw asError("signal in { signal }, the last argument, is an AbortSignal");
}
