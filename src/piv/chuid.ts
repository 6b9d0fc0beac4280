import { ByteReader, DataError, toHex } from "../bytes/index.ts";

/** The head of a Card Holder Unique Identifier (SP 800-73-4 part 1 table 9; TIG SCEPACS 2.3). */
export interface Chuid {
  /** Federal Agency Smart Credential Number, 25 bytes of 5-bit characters. */
  readonly fascn?: Uint8Array;
  /** Card UUID, 16 bytes. */
  readonly guid?: Uint8Array;
}

/** Bytes that hold the fields before the signature: 53, EE, 30, 32, 33, 34, 35, 36. */
export const CHUID_HEAD = 80;

/**
 * Reads the first fields of a CHUID, up to wherever `bytes` end: its signature, which makes it ten times as long, comes last
 * and nobody here needs it. Works on the answer of GET DATA as it is, wrapping included.
 * @throws {DataError} if not even the wrapping is there.
 */
export function readChuidHead(bytes: Uint8Array): Chuid {
  const reader = new ByteReader(bytes, "CHUID");
  if (reader.u8() !== 0x53) throw new DataError("CHUID: no data object 53");
  skipLength(reader);
  const fields = new Map<number, Uint8Array>();
  while (reader.remaining >= 2) {
    const tag = reader.u8();
    const length = reader.u8();
    // Fields of 128 bytes or more (the signature) and those cut off end the head.
    if (length >= 0x80 || length > reader.remaining) break;
    fields.set(tag, reader.take(length));
  }
  const fascn = fields.get(0x30);
  const guid = fields.get(0x34);
  return {
    ...(fascn?.length === 25 && { fascn }),
    ...(guid?.length === 16 && { guid }),
  };
}

function skipLength(reader: ByteReader): void {
  const first = reader.u8();
  if (first > 0x80) reader.take(first & 0x7f);
}

/** What tells this card from others: the card UUID if it is set, else the digits of the FASC-N, else nothing. */
export function serialNumber({ guid, fascn }: Chuid): string {
  if (guid?.some((byte) => byte !== 0)) return toHex(guid);
  return fascn ? fascnDigits(fascn) : "";
}

const END_SENTINEL = 0x0f;

/**
 * The decimal digits of a FASC-N: 40 characters of 4 bits, least significant first, and a parity bit each; start sentinel,
 * field separators and end sentinel left out (TIG SCEPACS 2.3 section 6.1).
 */
function fascnDigits(fascn: Uint8Array): string {
  const bit = (index: number): number => ((fascn[index >> 3] ?? 0) >> (7 - (index & 7))) & 1;
  let digits = "";
  for (let offset = 0; offset < 8 * fascn.length; offset += 5) {
    const value = [0, 1, 2, 3].reduce((sum, place) => sum | (bit(offset + place) << place), 0);
    if (value === END_SENTINEL) break;
    if (value <= 9) digits += String(value);
  }
  return digits;
}
