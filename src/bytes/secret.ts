/**
 * Bytes that hold a secret: a PIN, a key, a plaintext.
 *
 * V8 keeps the bytes of a typed array of up to 64 bytes inside the array itself, on a heap whose objects move. Each
 * move leaves a copy behind that no program can wipe (v8, `typed_array_max_size_in_heap`). An `ArrayBuffer` that was
 * made first has its memory elsewhere and never moves. So do not use `new Uint8Array(n)`, `slice()`, `map()` and
 * `Uint8Array.from()` for secrets, nor `Buffer.from()`: all small buffers share its pool.
 *
 * The caller that makes such bytes wipes them after use.
 */

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

const encoder = new TextEncoder();

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
