import { ByteReader, concat, concatSecret, DataError } from "../bytes/index.ts";

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
  const reader = new ByteReader(bytes, what);
  const found: Tlv[] = [];
  for (let first = reader.peek(); first !== undefined; first = reader.peek()) {
    if (first === 0x00 || first === 0xff) reader.u8();
    else found.push(readTlv(reader, what));
  }
  return found;
}

/** Reads the next data object of `reader`. Errors as {@link readTlvs}. */
export function readTlv(reader: ByteReader, what = "BER-TLV"): Tlv {
  return { tag: readTag(reader, what), value: reader.take(readLength(reader, what)) };
}

/** Reads tag and length of the next data object of `reader`; the value may be absent. Errors as {@link readTlvs}. */
export function readTlvHeader(reader: ByteReader, what = "BER-TLV"): { readonly tag: number; readonly length: number } {
  return { tag: readTag(reader, what), length: readLength(reader, what) };
}

function readTag(reader: ByteReader, what: string): number {
  let tag = reader.u8();
  if ((tag & 0x1f) !== 0x1f) return tag;
  for (let count = 2; count <= MAX_TAG_BYTES; count++) {
    const octet = reader.u8();
    tag = tag * 256 + octet;
    if ((octet & 0x80) === 0) return tag;
  }
  throw new DataError(`${what}: a tag of more than ${MAX_TAG_BYTES} bytes at ${reader.offset}`);
}

function readLength(reader: ByteReader, what: string): number {
  const first = reader.u8();
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count === 0 || count > 4) throw new DataError(`${what}: length byte ${first} at ${reader.offset - 1}`);
  let length = 0;
  for (const octet of reader.take(count)) length = length * 256 + octet;
  return length;
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
  const reader = new ByteReader(bytes, "BER-TLV tag");
  if (bytes[0] === 0x00 || bytes[0] === 0xff || readTag(reader, "BER-TLV") !== tag) {
    throw new DataError(`BER-TLV: ${tag} is not a valid tag`);
  }
  reader.end();
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
