/**
 * Bytes that hold a secret: a PIN, a key, a plaintext.
 *
 * V8 keeps the bytes of a typed array of up to 64 bytes inside the array itself, on a heap whose objects move. Each move leaves
 * the old bytes behind, where no program can wipe them (v8, `typed_array_max_size_in_heap`). An `ArrayBuffer` that was made
 * first has its memory elsewhere and never moves. `new Uint8Array(n)`, `slice()`, `map()` and `Uint8Array.from()` are therefore
 * not for secrets, and `Buffer.from()` is not either: its memory is a pool that all small buffers share.
 *
 * The caller that makes such bytes wipes them when they are no longer needed.
 */

/** `length` zero bytes to write a secret into. */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length));
}

/** A copy of a secret. */
export function copySecret(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return concatSecret(bytes);
}

/** All of `parts`, one after the other. The parts stay as they are: wipe those that are no longer needed. */
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

/** The most bytes of UTF-8 that one unit of a string may take. */
const MAX_UTF8_PER_UNIT = 3;

const encoder = new TextEncoder();

/** `text` as UTF-8; half a surrogate pair becomes U+FFFD. The string itself cannot be wiped. */
export function secretUtf8(text: string): Uint8Array<ArrayBuffer> {
  const room = secretBytes(MAX_UTF8_PER_UNIT * text.length);
  return room.subarray(0, encoder.encodeInto(text, room).written);
}

/** What of an exchange (a command's data, the data of its answer) is secret, and must not appear in traces and recordings. */
export type Concealment = "nothing" | "command" | "answer" | "both";

/** Overwrites secrets that this process owns. */
export function wipe(...secrets: readonly Uint8Array[]): void {
  for (const secret of secrets) secret.fill(0);
}
