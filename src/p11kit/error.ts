/** A server cannot be set up, or not be reached. What goes wrong in a call is an error of the call. */
export class P11KitError extends Error {
  override readonly name = "P11KitError";
}
