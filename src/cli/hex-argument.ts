import { DataError, fromHex } from "../bytes/index.ts";
import { UsageError } from "./failure.ts";

/** The bytes that an argument spells. @throws {UsageError} if it is not hexadecimal. */
export function hexArgument(text: string, what: string): Uint8Array {
  try {
    return fromHex(text);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(`${what}: ${cause.message}`, { cause });
  }
}
