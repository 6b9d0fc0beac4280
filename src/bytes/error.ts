/**
 * Bytes that are not what they should be: too short, too long, a wrong digit, a length that lies.
 * Every codec of this package throws this class, or one of its own layer with this one as `cause`.
 */
export class DataError extends Error {
  override readonly name = "DataError";
}
