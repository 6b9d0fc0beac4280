import { unzipSync } from "node:zlib";
import { DataError } from "../bytes/index.ts";
import { plain } from "./plain.ts";

/** Whether `bytes` begin as gzip (RFC 1952 section 2.3.1) or zlib (RFC 1950 section 2.2, without a preset dictionary) does. */
export function isCompressed([first = 0, second = 0]: Uint8Array): boolean {
  if (first === 0x1f) return second === 0x8b;
  const deflate = (first & 0x0f) === 8 && first >> 4 <= 7 && (second & 0x20) === 0;
  return deflate && (first * 256 + second) % 31 === 0;
}

/**
 * Decompresses gzip (RFC 1952), as PIV certificates are, or zlib (RFC 1950), as those of other cards are; the first byte tells.
 * @param maxLength The most bytes that may come out: a few hundred bytes inflate to megabytes if somebody means it.
 * @throws {DataError} if more come out, or `bytes` are neither, or damaged.
 */
export function gunzip(bytes: Uint8Array, maxLength: number): Uint8Array {
  try {
    return plain(unzipSync(withoutFilling(bytes), { maxOutputLength: maxLength }));
  } catch (cause) {
    throw new DataError(`compressed data: damaged, or more than ${maxLength} bytes`, { cause });
  }
}

/** FF behind gzip would be taken for one more member. What it ends in is its length (RFC 1952 section 2.3.1), which never ends in FF here. */
function withoutFilling(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0x1f) return bytes;
  const last = bytes.findLastIndex((octet) => octet !== 0xff);
  return bytes.subarray(0, last + 1);
}
