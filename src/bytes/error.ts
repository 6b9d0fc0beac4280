/**
 * Bytes that are not what they should be: too short, too long, a wrong digit, a length that lies.
 * Every codec of this package throws this class, or one of its own layer with this one as `cause`.
 */
export class DataError extends Error {
  override readonly name = "DataError";
}

/** The result of `parse`; undefined if it throws a {@link DataError}. @throws any other error of `parse`. */
export function tryParse<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}
