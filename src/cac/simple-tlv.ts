import { ByteReader, concat, DataError } from "../bytes/index.ts";

/** A SIMPLE-TLV data object (ISO/IEC 7816-4 section 5.2.1), whose longer lengths CAC cards write least significant byte first. */
export interface SimpleTlv {
  /** One byte. */
  readonly tag: number;
  readonly value: Uint8Array;
}

/** The tag and length of a data object whose value is in another buffer. */
export interface TagLength {
  readonly tag: number;
  readonly length: number;
}

/**
 * The contents of a tag buffer: tags with lengths, one after the other (GSC-IS 2.1 section 8.4).
 * @throws {DataError} if the last one is cut off.
 */
export function readTagLengths(bytes: Uint8Array, what = "tag buffer"): TagLength[] {
  const reader = new ByteReader(bytes, what);
  const found: TagLength[] = [];
  while (reader.remaining > 0) found.push(readTagLength(reader));
  return found;
}

/**
 * Data objects with tag, length and value in one.
 * @throws {DataError} if the last one is cut off.
 */
export function readSimpleTlvs(bytes: Uint8Array, what = "SIMPLE-TLV"): SimpleTlv[] {
  const reader = new ByteReader(bytes, what);
  const found: SimpleTlv[] = [];
  while (reader.remaining > 0) {
    const { tag, length } = readTagLength(reader);
    found.push({ tag, value: reader.take(length) });
  }
  return found;
}

function readTagLength(reader: ByteReader): TagLength {
  const tag = reader.u8();
  const length = reader.u8();
  return { tag, length: length === 0xff ? reader.u16le() : length };
}

/**
 * Gives the tags of one buffer the values of the other.
 * @throws {DataError} if the values are shorter than the lengths say.
 */
export function joinBuffers(tags: readonly TagLength[], values: Uint8Array, what = "container"): SimpleTlv[] {
  const reader = new ByteReader(values, what);
  return tags.map(({ tag, length }) => ({ tag, value: reader.take(length) }));
}

/** The data objects, one after the other. @throws {DataError} for a value of more than 65,535 bytes. */
export function encodeSimpleTlvs(objects: readonly SimpleTlv[]): Uint8Array {
  return concat(...objects.flatMap(({ tag, value }) => [head(tag, value.length), value]));
}

function head(tag: number, length: number): Uint8Array {
  if (length > 0xffff) throw new DataError(`SIMPLE-TLV: a value of ${length} bytes, 65535 at most`);
  return length < 0xff ? Uint8Array.of(tag, length) : Uint8Array.of(tag, 0xff, length & 0xff, length >> 8);
}

/** The value of the first data object with `tag`, or undefined. */
export function findSimpleTlv(objects: readonly SimpleTlv[], tag: number): Uint8Array | undefined {
  return objects.find((object) => object.tag === tag)?.value;
}
