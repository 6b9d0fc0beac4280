import { type ByteReader, concat, concatSecret, DataError } from "../bytes/index.ts";

/** A BER-TLV data object (ISO/IEC 7816-4 section 5.2.2; ISO/IEC 8825-1). */
export interface Tlv {
  /** All bytes of the tag as one number: 0x53, 0x7F49, 0x5FC105. */
  readonly tag: number;
  readonly value: Uint8Array;
}

const MAX_TAG_BYTES = 4;

/**
 * Parses the data objects in `bytes`; skips padding of 00 and FF between and after them (ISO/IEC 7816-4 section
 * 5.2.2.1).
 * @throws {DataError} for a tag of more than 4 bytes, an indefinite length, a length of more than 4 bytes, or one
 *   beyond the end.
 */
export function readTlvs(bytes: Uint8Array, what = "BER-TLV"): Tlv[] {
  const found: Tlv[] = [];
  for (let at = 0; at < bytes.length;) {
    if (bytes[at] === 0x00 || bytes[at] === 0xff) {
      at++;
      continue;
    }
    const { tag, length, start } = readHeader(bytes, at, what);
    at = start + length;
    found.push({ tag, value: bytesAt(bytes, start, length, what) });
  }
  return found;
}

/** Reads the next data object of `reader`. Errors as {@link readTlvs}. */
export function readTlv(reader: ByteReader, what = "BER-TLV"): Tlv {
  const { tag, length } = readTlvHeader(reader, what);
  return { tag, value: reader.take(length) };
}

/** Reads tag and length of the next data object of `reader`; the value may be absent. Errors as {@link readTlvs}. */
export function readTlvHeader(reader: ByteReader, what = "BER-TLV"): { readonly tag: number; readonly length: number } {
  const { tag, length, start } = readHeader(reader.ahead, 0, what);
  reader.take(start);
  return { tag, length };
}

/** The tag and the length that begin at `offset`, and where their value starts. */
interface Header {
  readonly tag: number;
  readonly length: number;
  readonly start: number;
}

function readHeader(bytes: Uint8Array, offset: number, what: string): Header {
  let at = offset + tagLength(bytes, offset, what);
  const tag = numberOf(bytes.subarray(offset, at));
  const [first = 0] = bytesAt(bytes, at, 1, what);
  at++;
  if (first < 0x80) return { tag, length: first, start: at };
  const count = first & 0x7f;
  if (count === 0 || count > 4) throw new DataError(`${what}: length byte ${first} at ${at - 1}`);
  return { tag, length: numberOf(bytesAt(bytes, at, count, what)), start: at + count };
}

/** Bytes of the tag that begins at `offset`. */
function tagLength(bytes: Uint8Array, offset: number, what: string): number {
  let [octet = 0] = bytesAt(bytes, offset, 1, what);
  if ((octet & 0x1f) !== 0x1f) return 1;
  for (let count = 1; count < MAX_TAG_BYTES; count++) {
    [octet = 0] = bytesAt(bytes, offset + count, 1, what);
    if ((octet & 0x80) === 0) return count + 1;
  }
  throw new DataError(`${what}: a tag of more than ${MAX_TAG_BYTES} bytes at ${offset + MAX_TAG_BYTES}`);
}

function numberOf(octets: Uint8Array): number {
  let number = 0;
  for (const octet of octets) number = number * 256 + octet;
  return number;
}

/** A view of `length` bytes from `at` on. @throws {DataError} if they are not there. */
function bytesAt(bytes: Uint8Array, at: number, length: number, what: string): Uint8Array {
  const left = bytes.length - at;
  if (length > left) throw new DataError(`${what}: ${length} bytes needed at ${at}, ${left} left`);
  return bytes.subarray(at, at + length);
}

/** The value of the first data object with `tag`, or undefined. */
export function findTlv(tlvs: readonly Tlv[], tag: number): Uint8Array | undefined {
  for (const tlv of tlvs) if (tlv.tag === tag) return tlv.value;
  return undefined;
}

/**
 * Encodes a data object with the shortest length field. The value is the concatenation of `parts`. Suitable for
 * secrets: makes no other copy of the parts.
 * @throws {DataError} if {@link readTlv} would not read `tag`.
 */
export function encodeTlv(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  return concatSecret(encodeTag(tag), encodeLength(length), ...parts);
}

/** 00 and FF are padding, and a first byte that announces more must have them (ISO/IEC 8825-1 section 8.1.2). */
function encodeTag(tag: number): Uint8Array {
  const isShort = tag > 0x00 && tag < 0xff && (tag & 0x1f) !== 0x1f;
  if (isShort && Number.isInteger(tag)) return Uint8Array.of(tag);
  const bytes = bigEndian(tag);
  const isPadding = bytes[0] === 0x00 || bytes[0] === 0xff;
  if (isPadding || numberOf(bytes) !== tag || tagLength(bytes, 0, "BER-TLV tag") !== bytes.length) {
    throw new DataError(`BER-TLV: ${tag} is not a valid tag`);
  }
  return bytes;
}

function encodeLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const octets = bigEndian(length);
  return concat(Uint8Array.of(0x80 | octets.length), octets);
}

function bigEndian(value: number): Uint8Array {
  const octets: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.from(octets.length === 0 ? [0] : octets);
}
