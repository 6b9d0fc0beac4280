import { derUnsigned, encodeDer, TAG } from "../../asn1/index.ts";
import { utf8 } from "../../bytes/index.ts";

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
