import { DataError } from "../bytes/index.ts";

/** A response APDU: data and the status word SW1-SW2 (ISO/IEC 7816-4 section 5.1). */
export interface ResponseApdu {
  readonly data: Uint8Array;
  /** SW1 in the high byte, SW2 in the low one. */
  readonly sw: number;
}

/**
 * Splits a card's answer into data and status word.
 * @throws {DataError} if it is shorter than the status word or longer than 65,538 bytes.
 */
export function decodeResponse(bytes: Uint8Array): ResponseApdu {
  const sw1 = bytes.at(-2);
  const sw2 = bytes.at(-1);
  if (sw1 === undefined || sw2 === undefined) throw new DataError(`response APDU: ${bytes.length} bytes, 2 at least`);
  if (bytes.length > 65_538) throw new DataError(`response APDU: ${bytes.length} bytes, 65538 at most`);
  return { data: bytes.subarray(0, -2), sw: (sw1 << 8) | sw2 };
}

/** The bytes of a response APDU. */
export function encodeResponse({ data, sw }: ResponseApdu): Uint8Array {
  const bytes = new Uint8Array(data.length + 2);
  bytes.set(data);
  bytes[data.length] = sw >> 8;
  bytes[data.length + 1] = sw & 0xff;
  return bytes;
}
