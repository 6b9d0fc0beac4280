import { unzipSync } from "node:zlib";
import { DataError } from "../bytes/index.ts";
import { plain } from "./plain.ts";

/**
 * Decompresses gzip (RFC 1952), as PIV certificates are, or zlib (RFC 1950), as some CAC certificates are; the first byte tells.
 * @param maxLength The most bytes that may come out: a few hundred bytes inflate to megabytes if somebody means it.
 * @throws {DataError} if more come out, or `bytes` are neither, or damaged.
 */
export function gunzip(bytes: Uint8Array, maxLength: number): Uint8Array {
  try {
    return plain(unzipSync(bytes, { maxOutputLength: maxLength }));
  } catch (cause) {
    throw new DataError(`compressed data: damaged, or more than ${maxLength} bytes`, { cause });
  }
}
