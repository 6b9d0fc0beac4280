import { concat, DataError } from "../bytes/index.ts";
import { encodeOid } from "./oid.ts";
import { TAG } from "./tag.ts";

/** A DER element with `tag`, whose contents are `parts` one after the other. */
export function encodeDer(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return concat(Uint8Array.of(tag, ...lengthOctets(length)), ...parts);
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let left = length; left > 0; left = Math.floor(left / 256)) octets.unshift(left % 256);
  return [0x80 + octets.length, ...octets];
}

export function derSequence(...elements: readonly Uint8Array[]): Uint8Array {
  return encodeDer(TAG.SEQUENCE, ...elements);
}

/** An INTEGER that is not negative, from its magnitude, most significant byte first; leading zeros do not matter. */
export function derUnsigned(magnitude: Uint8Array): Uint8Array {
  const start = magnitude.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? new Uint8Array() : magnitude.subarray(start);
  const [first = 0x80] = digits;
  // A first byte of 80 or more would make it negative; 0 is one zero byte.
  return first >= 0x80 ? encodeDer(TAG.INTEGER, Uint8Array.of(0), digits) : encodeDer(TAG.INTEGER, digits);
}

/** @throws {DataError} if `dotted` is no object identifier. */
export function derOid(dotted: string): Uint8Array {
  return encodeDer(TAG.OBJECT_IDENTIFIER, encodeOid(dotted));
}

export function derOctetString(contents: Uint8Array): Uint8Array {
  return encodeDer(TAG.OCTET_STRING, contents);
}

/**
 * @param unusedBits Bits at the end of the last byte that do not count, 0 to 7; they must be 0.
 * @throws {DataError} if they are not.
 */
export function derBitString(bytes: Uint8Array, unusedBits = 0): Uint8Array {
  const padding = (bytes.at(-1) ?? 0) & ((1 << unusedBits) - 1);
  if (unusedBits < 0 || unusedBits > 7 || padding !== 0 || (bytes.length === 0 && unusedBits !== 0)) {
    throw new DataError(`BIT STRING: ${unusedBits} unused bits that are not there or not 0`);
  }
  return encodeDer(TAG.BIT_STRING, Uint8Array.of(unusedBits), bytes);
}

export function derNull(): Uint8Array {
  return encodeDer(TAG.NULL);
}
