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

/**
 * The number of characters (code points) that UTF-8 `bytes` hold, without a string of them: a secret's could not be wiped.
 * @throws {DataError} if they are not UTF-8 (RFC 3629 section 4).
 */
export function countUtf8(bytes: Uint8Array): number {
  let count = 0;
  for (let at = 0; at < bytes.length; count++) at += sequenceLength(bytes, at);
  return count;
}

/** Bytes of the character that begins at `at`. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  // The second byte is bounded further where a shorter form, a surrogate, or a number above 10FFFF would be written.
  const [low, high] = SECOND.get(first) ?? [0x80, 0xbf];
  const second = bytes[at + 1] ?? 0;
  const continued = bytes.subarray(at + 2, at + length);
  const whole = second >= low && second <= high && continued.length === length - 2;
  if (first < 0xc2 || first > 0xf4 || !whole || continued.some((byte) => byte >> 6 !== 0b10)) {
    throw new DataError("not UTF-8");
  }
  return length;
}

const SECOND: ReadonlyMap<number, readonly [number, number]> = new Map([
  [0xe0, [0xa0, 0xbf]],
  [0xed, [0x80, 0x9f]],
  [0xf0, [0x90, 0xbf]],
  [0xf4, [0x80, 0x8f]],
]);
