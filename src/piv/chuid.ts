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

/**
 * The number that tells this card from others, hexadecimal: the FASC-N, but the card UUID where there is no FASC-N or its agency is 9999,
 * which all have that are no agency (SP 800-73-4 part 1 section 3.1.2). OpenSC takes the same one (card-piv.c,
 * piv_get_serial_nr_from_CHUI). Undefined for a card without either, or with zeros in their place.
 */
export function chuidNumber({ fascn, guid }: Chuid): string | undefined {
  const uuid = guid && isSet(guid) ? guid : undefined;
  const number = fascn && isSet(fascn) && !(uuid && isOfNoAgency(fascn)) ? fascn : uuid;
  return number && toHex(number);
}

const isSet = (number: Uint8Array): boolean => number.some((byte) => byte !== 0);

/** Whether a FASC-N begins with the start sentinel and agency 9999: five characters of five bits each, the last bit is the next one's. */
function isOfNoAgency([first, second, third, fourth = 0]: Uint8Array): boolean {
  return first === 0xd4 && second === 0xe7 && third === 0x39 && (fourth & 0x80) !== 0;
}
