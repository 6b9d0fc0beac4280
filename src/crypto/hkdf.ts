import { concatSecret, copySecret, DataError, wipe } from "../bytes/index.ts";
import { hashLength, type HashName } from "./hash.ts";
import { hmac } from "./hmac.ts";

/** HKDF-Extract (RFC 5869 section 2.2). @param salt Zeros as long as the hash, if empty. */
export function hkdfExtract(hash: HashName, salt: Uint8Array, secret: Uint8Array): Uint8Array {
  return hmac(hash, salt.length > 0 ? salt : new Uint8Array(hashLength(hash)), secret);
}

/** HKDF-Expand (RFC 5869 section 2.3). @throws {DataError} for more than 255 times the hash. */
export function hkdfExpand(hash: HashName, key: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const size = hashLength(hash);
  if (length > 255 * size) throw new DataError(`HKDF: ${length} bytes, ${255 * size} at most with ${hash}`);
  const blocks: Uint8Array[] = [];
  for (let number = 1; number <= Math.ceil(length / size); number++) {
    blocks.push(hmac(hash, key, blocks.at(-1) ?? new Uint8Array(), info, Uint8Array.of(number)));
  }
  const all = concatSecret(...blocks);
  wipe(...blocks);
  const result = copySecret(all.subarray(0, length));
  wipe(all);
  return result;
}
