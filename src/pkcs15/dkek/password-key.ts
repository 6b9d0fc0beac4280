import { pause } from "../../async/index.ts";
import { concatSecret, secretBytes, wipe } from "../../bytes/index.ts";

/** The integer part of 2^32 |sin i| (RFC 1321 section 3.4). */
const SINES = Int32Array.from({ length: 64 }, (_, index) => Math.floor(2 ** 32 * Math.abs(Math.sin(index + 1))) | 0);
const START = [0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476] as const;
const BLOCK = 64;
const LENGTH = 16;
/** Hashes without a pause: some ten milliseconds. */
const SLICE = 100_000;

const rotated = (sum: number, left: number): number => (sum << left) | (sum >>> (32 - left));
/** A word of a typed array. An index within it, as all here, needs no other value. */
const at = (words: Int32Array, index: number): number => words[index] ?? 0;

/** Adds one block of 16 words to the state (RFC 1321 section 3.4), four steps at a time. */
function compress(state: Int32Array, words: Int32Array): void {
  let a = at(state, 0);
  let b = at(state, 1);
  let c = at(state, 2);
  let d = at(state, 3);
  for (let i = 0; i < 16; i += 4) {
    a = (b + rotated((a + ((b & c) | (~b & d)) + at(words, i) + at(SINES, i)) | 0, 7)) | 0;
    d = (a + rotated((d + ((a & b) | (~a & c)) + at(words, i + 1) + at(SINES, i + 1)) | 0, 12)) | 0;
    c = (d + rotated((c + ((d & a) | (~d & b)) + at(words, i + 2) + at(SINES, i + 2)) | 0, 17)) | 0;
    b = (c + rotated((b + ((c & d) | (~c & a)) + at(words, i + 3) + at(SINES, i + 3)) | 0, 22)) | 0;
  }
  for (let i = 16; i < 32; i += 4) {
    a = (b + rotated((a + ((d & b) | (~d & c)) + at(words, (5 * i + 1) & 15) + at(SINES, i)) | 0, 5)) | 0;
    d = (a + rotated((d + ((c & a) | (~c & b)) + at(words, (5 * i + 6) & 15) + at(SINES, i + 1)) | 0, 9)) | 0;
    c = (d + rotated((c + ((b & d) | (~b & a)) + at(words, (5 * i + 11) & 15) + at(SINES, i + 2)) | 0, 14)) | 0;
    b = (c + rotated((b + ((a & c) | (~a & d)) + at(words, (5 * i) & 15) + at(SINES, i + 3)) | 0, 20)) | 0;
  }
  for (let i = 32; i < 48; i += 4) {
    a = (b + rotated((a + (b ^ c ^ d) + at(words, (3 * i + 5) & 15) + at(SINES, i)) | 0, 4)) | 0;
    d = (a + rotated((d + (a ^ b ^ c) + at(words, (3 * i + 8) & 15) + at(SINES, i + 1)) | 0, 11)) | 0;
    c = (d + rotated((c + (d ^ a ^ b) + at(words, (3 * i + 11) & 15) + at(SINES, i + 2)) | 0, 16)) | 0;
    b = (c + rotated((b + (c ^ d ^ a) + at(words, (3 * i + 14) & 15) + at(SINES, i + 3)) | 0, 23)) | 0;
  }
  for (let i = 48; i < 64; i += 4) {
    a = (b + rotated((a + (c ^ (b | ~d)) + at(words, (7 * i) & 15) + at(SINES, i)) | 0, 6)) | 0;
    d = (a + rotated((d + (b ^ (a | ~c)) + at(words, (7 * i + 7) & 15) + at(SINES, i + 1)) | 0, 10)) | 0;
    c = (d + rotated((c + (a ^ (d | ~b)) + at(words, (7 * i + 14) & 15) + at(SINES, i + 2)) | 0, 15)) | 0;
    b = (c + rotated((b + (d ^ (c | ~a)) + at(words, (7 * i + 5) & 15) + at(SINES, i + 3)) | 0, 21)) | 0;
  }
  state[0] = (at(state, 0) + a) | 0;
  state[1] = (at(state, 1) + b) | 0;
  state[2] = (at(state, 2) + c) | 0;
  state[3] = (at(state, 3) + d) | 0;
}

/** MD5 (RFC 1321), which only this old derivation needs. */
function md5(message: Uint8Array): Int32Array {
  const padded = secretBytes((((message.length + 8) >> 6) + 1) * BLOCK);
  padded.set(message);
  padded[message.length] = 0x80;
  new DataView(padded.buffer).setUint32(padded.length - 8, message.length * 8, true);
  const state = Int32Array.from(START);
  for (let from = 0; from < padded.length; from += BLOCK) {
    compress(state, wordsOf(padded.subarray(from, from + BLOCK)));
  }
  wipe(padded);
  return state;
}

/** Little-endian words. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Int32Array.from({ length: bytes.length / 4 }, (_, index) => view.getInt32(4 * index, true));
}

function bytesOf(state: Int32Array): Uint8Array {
  const bytes = secretBytes(LENGTH);
  const view = new DataView(bytes.buffer);
  for (const [index, word] of state.entries()) view.setInt32(4 * index, word, true);
  return bytes;
}

/**
 * OpenSSL's EVP_BytesToKey with MD5: each 16 bytes are the hash of those before them, the password and the salt, hashed
 * `iterations` times. Pauses often, so that other work goes on.
 * @param length Bytes of the result, which the caller wipes.
 */
export async function bytesToKey(
  password: Uint8Array,
  salt: Uint8Array,
  iterations: number,
  length: number,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const key = secretBytes(Math.ceil(length / LENGTH) * LENGTH);
  // A message of 16 bytes, its end mark, and its length in bits.
  const words = new Int32Array(16);
  words[4] = 0x80;
  words[14] = 8 * LENGTH;
  const state = new Int32Array(4);
  try {
    for (let from = 0; from < key.length; from += LENGTH) {
      const before = from === 0 ? new Uint8Array() : key.subarray(from - LENGTH, from);
      const message = concatSecret(before, password, salt);
      state.set(md5(message));
      wipe(message);
      for (let done = 1; done < iterations; done++) {
        words.set(state);
        state.set(START);
        compress(state, words);
        if (done % SLICE === 0) {
          await pause(0, signal);
        }
      }
      const part = bytesOf(state);
      key.set(part, from);
      wipe(part);
    }
    return key.subarray(0, length);
  } finally {
    state.fill(0);
    words.fill(0);
  }
}
