import { decodeTime, type DerElement, type DerReader, derUnsigned, encodeDer, TAG } from "../../asn1/index.ts";
import { DataError, fromUtf8, utf8 } from "../../bytes/index.ts";

/** Bits of a BIT STRING by their number, 0 the first; missing bits are 0. */
export class Flags {
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array()) {
    this.#bytes = bytes;
  }

  static of(...bits: readonly number[]): Flags {
    const bytes = new Uint8Array(Math.floor(Math.max(-1, ...bits) / 8) + 1);
    for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
    return new Flags(bytes);
  }

  has(bit: number): boolean {
    return ((this.#bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0;
  }

  /** Whether one of `bits` is set. */
  hasAny(...bits: readonly number[]): boolean {
    return bits.some((bit) => this.has(bit));
  }
}

/** The next element if it is a BIT STRING; otherwise no flags. */
export function optionalFlags(reader: DerReader): Flags {
  return reader.peek() === TAG.BIT_STRING ? new Flags(reader.bitString().bytes) : new Flags();
}

/** A non-negative INTEGER or ENUMERATED of up to 6 bytes. */
export function readNumber(reader: DerReader, tag: number = TAG.INTEGER): number {
  const value = readSigned(reader.next(tag));
  if (value < 0) throw new DataError("a negative number");
  return value;
}

export function optionalNumber(reader: DerReader, tag: number = TAG.INTEGER): number | undefined {
  return reader.peek() === tag ? readNumber(reader, tag) : undefined;
}

/**
 * A reference for one byte of a command. Cards write 80 to FF as negative numbers too, because such a byte alone is one
 * in ASN.1.
 */
export function optionalReference(reader: DerReader, tag: number = TAG.INTEGER): number | undefined {
  const element = reader.optional(tag);
  if (!element) return undefined;
  const value = readSigned(element);
  if (value < -128 || value > 0xffff) throw new DataError(`a reference of ${value}`);
  return value < 0 ? value + 256 : value;
}

/** Accepts numbers that are not in their shortest form: some cards pad with zeros. */
function readSigned({ contents }: DerElement): number {
  const [first] = contents;
  if (first === undefined) throw new DataError("a number without digits");
  let value = first >= 0x80 ? -1 : 0;
  for (const octet of contents) value = value * 256 + octet;
  if (!Number.isSafeInteger(value)) throw new DataError(`a number of ${contents.length} bytes`);
  return value;
}

/** A label's characters: UTF-8, or Latin-1 on older cards; removes padding of zeros and blanks. */
export function readText({ contents }: DerElement): string {
  return decodeText(contents).replace(/[\0 ]+$/u, "");
}

function decodeText(bytes: Uint8Array): string {
  try {
    return fromUtf8(bytes);
  } catch {
    return String.fromCharCode(...bytes.subarray(0, 1024));
  }
}

const TEXT_TAGS: readonly number[] = [TAG.UTF8_STRING, TAG.PRINTABLE_STRING, TAG.IA5_STRING, TAG.T61_STRING];

export function optionalText(reader: DerReader): string | undefined {
  const tag = reader.peek();
  return tag !== undefined && TEXT_TAGS.includes(tag) ? readText(reader.next()) : undefined;
}

export function optionalOctets(reader: DerReader): Uint8Array | undefined {
  return reader.optional(TAG.OCTET_STRING)?.contents;
}

/** A GeneralizedTime; undefined for an invalid one, which does not spoil the object. */
export function readTime({ tag, contents }: DerElement): Date | undefined {
  const text = String.fromCharCode(...contents.subarray(0, 32));
  // X.680 section 46 makes seconds and their fractions optional; times on cards are in UTC.
  const [, digits = ""] = /^(\d{10,14})(?:[.,]\d+)?Z?$/u.exec(text) ?? [];
  const whole = `${digits.padEnd(14, "0")}Z`;
  try {
    return decodeTime(
      tag,
      Uint8Array.from(whole, (character) => character.charCodeAt(0)),
    );
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** An INTEGER, 0 or more. */
export function derNumber(value: number): Uint8Array {
  const octets: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return derUnsigned(Uint8Array.from(octets));
}

export function derText(text: string): Uint8Array {
  return encodeDer(TAG.UTF8_STRING, utf8(text));
}

/** A named-bit list in its shortest form (X.690 section 11.2.2). */
export function derFlags(bits: readonly number[]): Uint8Array {
  const highest = Math.max(-1, ...bits);
  const bytes = new Uint8Array((highest + 8) >> 3);
  for (const bit of bits) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return encodeDer(TAG.BIT_STRING, Uint8Array.of(highest < 0 ? 0 : 7 - (highest & 7)), bytes);
}
