/** Concatenates `parts` into a new array. For secrets use `concatSecret`. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Whether `a` and `b` hold the same bytes. Not for secrets: its time depends on where they differ. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}

/** Whether `bytes` begin with `prefix`. */
export function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, index) => byte === bytes[index]);
}

/**
 * Malformed bytes: too short, too long, a wrong digit, a wrong length. Every codec of this package throws this class,
 * or one of its own layer with this one as `cause`.
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

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Encodes `text` as UTF-8; half a surrogate pair becomes U+FFFD. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/**
 * Decodes UTF-8, including a byte order mark.
 * @throws {DataError} if `bytes` are not UTF-8.
 */
export function fromUtf8(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch (cause) {
    throw new DataError("not UTF-8", { cause });
  }
}

/**
 * Counts the characters (code points) in UTF-8 `bytes` without a string of them, which could not be wiped.
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
  // The second byte has narrower bounds, which exclude overlong forms, surrogates, and numbers above 10FFFF.
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

const OCTETS = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

/** Lower-case hexadecimal digits, two for each byte; `separator` between the bytes. */
export function toHex(bytes: Uint8Array, separator = ""): string {
  let text = "";
  for (const byte of bytes) text += `${text === "" ? "" : separator}${OCTETS[byte]}`;
  return text;
}

/**
 * Parses hexadecimal `text`; ignores white space and colons between bytes.
 * @throws {DataError} on an odd number of digits or another character; the message does not repeat the text.
 */
export function fromHex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/gu, "");
  if (!/^[0-9a-f]*$/iu.test(digits)) throw new DataError("not hexadecimal: a character other than 0-9 and a-f");
  if (digits.length % 2 !== 0) throw new DataError(`not whole bytes: ${digits.length} hexadecimal digits`);
  const bytes = new Uint8Array(digits.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = (digitAt(digits, 2 * index) << 4) | digitAt(digits, 2 * index + 1);
  }
  return bytes;
}

/** The value of a hexadecimal digit: the letters of both cases differ in one bit only. */
function digitAt(digits: string, index: number): number {
  const code = digits.charCodeAt(index);
  return code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x61 + 10;
}

// Secrets: a PIN, a key, a plaintext. V8 keeps the bytes of a typed array of up to 64 bytes inside the array itself, on a heap whose objects
// move. Each move leaves a copy behind that no program can wipe (v8, `typed_array_max_size_in_heap`). An `ArrayBuffer` that was made first has
// its memory elsewhere and never moves. So do not use `new Uint8Array(n)`, `slice()`, `map()` and `Uint8Array.from()` for secrets, nor
// `Buffer.from()`: all small buffers share its pool. The caller that makes such bytes wipes them after use.

/** Returns `length` zero bytes to write a secret into. */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** Copies a secret. */
export function copySecret(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return concatSecret(bytes);
}

/** Concatenates `parts`, which stay unchanged: wipe those that are no longer needed. */
export function concatSecret(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = secretBytes(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Most bytes of UTF-8 for one unit of a string. */
const MAX_UTF8_PER_UNIT = 3;

/** Encodes `text` as UTF-8; half a surrogate pair becomes U+FFFD. The string itself cannot be wiped. */
export function secretUtf8(text: string): Uint8Array<ArrayBuffer> {
  const room = secretBytes(MAX_UTF8_PER_UNIT * text.length);
  return room.subarray(0, encoder.encodeInto(text, room).written);
}

/**
 * Which parts of an exchange (a command's data, the data of its answer) are secret, and must not appear in traces and
 * recordings.
 */
export type Concealment = "nothing" | "command" | "answer" | "both";

/** Overwrites secrets that this process owns. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
