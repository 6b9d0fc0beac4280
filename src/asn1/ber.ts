import { concat, DataError } from "../bytes/index.ts";
import { encodeDer, TAG } from "./values.ts";

/** A BER element converted to DER, and the number of bytes that it had in BER. */
export interface BerElement {
  readonly der: Uint8Array;
  readonly length: number;
}

const MAX_DEPTH = 16;
const CONSTRUCTED = 0x20;
const INDEFINITE = 0x80;
/** String types that BER allows in segments (X.690 sections 8.6.4, 8.7.3, 8.23.6), and their primitive form. */
const SEGMENTED: ReadonlySet<number> = new Set([
  TAG.BIT_STRING,
  TAG.OCTET_STRING,
  TAG.UTF8_STRING,
  TAG.PRINTABLE_STRING,
  TAG.IA5_STRING,
]);

/**
 * Converts the BER element at `offset` to DER: indefinite or overlong lengths, strings in segments, a true that is not
 * FF, unused bits of a bit string (X.690 sections 8 and 10). DER comes back unchanged. The work is linear in the
 * element's length times its depth, which is at most 16.
 * @throws {DataError} if it is cut off, nested deeper, or not BER.
 */
export function berToDer(bytes: Uint8Array, offset = 0, what = "BER"): BerElement {
  return new BerParser(bytes, what).element(offset, bytes.length, 0);
}

/**
 * The length in bytes of the BER element at `offset`, whatever its contents; undefined if an end marker in its contents
 * ends it.
 * @throws {DataError} if it is cut off.
 */
export function berLength(bytes: Uint8Array, offset = 0, what = "BER"): number | undefined {
  return new BerParser(bytes, what).length(offset);
}

/** The contents of a constructed BER element, each element unchanged. */
export interface BerContents {
  readonly elements: readonly Uint8Array[];
  /** Length of the constructed element in bytes. */
  readonly length: number;
}

/**
 * Returns the elements within the constructed BER element at the beginning of `bytes`, unchanged: for contents that a
 * signature covers.
 * @throws {DataError} as {@link berToDer}, or if the element is primitive.
 */
export function berContents(bytes: Uint8Array, what = "BER"): BerContents {
  return new BerParser(bytes, what).contents();
}

interface Header {
  /** Identifier octets. */
  readonly identifier: Uint8Array;
  /** Where the contents begin. */
  readonly start: number;
  /** Undefined for an indefinite length. */
  readonly length: number | undefined;
}

class BerParser {
  readonly #bytes: Uint8Array;
  readonly #what: string;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.#what = what;
  }

  /** The element at `offset`, which must end before `end`. */
  element(offset: number, end: number, depth: number): BerElement {
    if (depth > MAX_DEPTH) throw this.#error(`more than ${MAX_DEPTH} levels`);
    const { identifier, start, length } = this.#header(offset, end);
    const [first = 0] = identifier;
    const constructed = (first & CONSTRUCTED) !== 0;
    if (!constructed) {
      if (length === undefined) throw this.#error(`a primitive element without a length at ${offset}`);
      const contents = strict(first, this.#bytes.subarray(start, start + length));
      return { der: encode(identifier, contents), length: start + length - offset };
    }
    const limit = length === undefined ? end : start + length;
    const parts: Uint8Array[] = [];
    let position = start;
    for (;;) {
      if (length === undefined && this.#isEndOfContents(position, end)) break;
      if (length !== undefined && position === limit) break;
      const part = this.element(position, limit, depth + 1);
      parts.push(part.der);
      position += part.length;
    }
    const next = length === undefined ? position + 2 : position;
    return { der: join(identifier, parts, this.#what), length: next - offset };
  }

  contents(): BerContents {
    const end = this.#bytes.length;
    const { identifier, start, length } = this.#header(0, end);
    if (((identifier[0] ?? 0) & CONSTRUCTED) === 0)
      throw this.#error("a primitive element instead of a constructed one");
    const limit = length === undefined ? end : start + length;
    const elements: Uint8Array[] = [];
    let position = start;
    while (length === undefined ? !this.#isEndOfContents(position, end) : position < limit) {
      const next = this.#end(position, limit);
      elements.push(this.#bytes.subarray(position, next));
      position = next;
    }
    return { elements, length: length === undefined ? position + 2 : position };
  }

  /** The end of the element at `offset`, by its length or its contents. */
  #end(offset: number, limit: number): number {
    const { start, length } = this.#header(offset, limit);
    return length === undefined ? offset + this.element(offset, limit, 1).length : start + length;
  }

  length(offset: number): number | undefined {
    const { start, length } = this.#header(offset, this.#bytes.length);
    return length === undefined ? undefined : start + length - offset;
  }

  #header(offset: number, end: number): Header {
    let position = offset;
    const octet = (): number => {
      const value = position < end ? this.#bytes[position] : undefined;
      if (value === undefined) throw this.#error(`cut off at ${position}`);
      position++;
      return value;
    };
    if ((octet() & 0x1f) === 0x1f) {
      // No field of a card's files has a tag number of more than three groups.
      for (let more = true, count = 0; more; count++) {
        if (count === 3) throw this.#error(`a tag of more than 4 bytes at ${offset}`);
        more = (octet() & 0x80) !== 0;
      }
    }
    const identifier = this.#bytes.subarray(offset, position);
    const first = octet();
    if (first === INDEFINITE) return { identifier, start: position, length: undefined };
    let length = first;
    if (first > INDEFINITE) {
      if (first === 0xff) throw this.#error(`length octet FF at ${position - 1}`);
      length = 0;
      for (let count = first & 0x7f; count > 0; count--) {
        length = length * 256 + octet();
        if (length > end) throw this.#error(`a length beyond the end at ${offset}`);
      }
    }
    if (length > end - position) throw this.#error(`${length} bytes at ${position}, ${end - position} left`);
    return { identifier, start: position, length };
  }

  #isEndOfContents(position: number, end: number): boolean {
    return end - position >= 2 && this.#bytes[position] === 0 && this.#bytes[position + 1] === 0;
  }

  #error(detail: string): DataError {
    return new DataError(`${this.#what}: ${detail}`);
  }
}

/** Converts the contents of a primitive element to DER. */
function strict(tag: number, contents: Uint8Array): Uint8Array {
  const [first = 0] = contents;
  if (tag === TAG.BOOLEAN && contents.length === 1 && first !== 0) return Uint8Array.of(0xff);
  if (tag === TAG.BIT_STRING && contents.length > 1 && first > 0 && first < 8) {
    const cleared = contents.slice();
    cleared.fill((contents.at(-1) ?? 0) & (0xff << first), -1);
    return cleared;
  }
  return contents;
}

/** Joins a constructed element from its parts; a string in segments becomes primitive. */
function join(identifier: Uint8Array, parts: readonly Uint8Array[], what: string): Uint8Array {
  const [first = 0] = identifier;
  const primitive = first & ~CONSTRUCTED;
  if (!SEGMENTED.has(primitive)) return encode(identifier, ...parts);
  const segments = parts.map((part) => {
    // Each segment was joined before: it is primitive, and its length is in the shortest form.
    const octets = part[0] === TAG.OCTET_STRING && primitive !== TAG.BIT_STRING;
    if (part[0] !== primitive && !octets) throw new DataError(`${what}: a segment of another type`);
    const lengthOctet = part[1] ?? 0;
    return part.subarray(lengthOctet < 0x80 ? 2 : 2 + (lengthOctet & 0x7f));
  });
  if (primitive !== TAG.BIT_STRING) return encodeDer(primitive, ...segments);
  // Every segment begins with its count of unused bits, which is 0 except in the last (section 8.6.4).
  if (segments.slice(0, -1).some(([unused]) => unused !== 0))
    throw new DataError(`${what}: a bit string with unused bits before its end`);
  const unused = segments.at(-1)?.subarray(0, 1) ?? Uint8Array.of(0);
  return encodeDer(primitive, unused, ...segments.map((segment) => segment.subarray(1)));
}

/** As {@link encodeDer}, for identifiers of several octets too. */
function encode(identifier: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  const [first = 0] = identifier;
  const encoded = encodeDer(first, ...parts);
  return identifier.length === 1 ? encoded : concat(identifier, encoded.subarray(1));
}
