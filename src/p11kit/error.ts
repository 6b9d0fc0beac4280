/** A server cannot be set up, or not be reached. What goes wrong in a call is an error of the call. */
export class P11KitError extends Error {
  override readonly name = "P11KitError";
}

/** What an error of the system says. */
export const messageOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "message" in error ? String(error.message) : String(error);
