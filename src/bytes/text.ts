import { DataError } from "./error.ts";

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** `text` as UTF-8; half a surrogate pair becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/**
 * The text that UTF-8 `bytes` hold, a byte order mark included.
 * @throws {DataError} if they are not UTF-8.
 */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw new DataError("not UTF-8", { cause });
  }
}
