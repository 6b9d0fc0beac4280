/**
 * What an issuer writes on a card besides keys and certificates (SP 800-73-4 part 1 section 3): the Card Holder Unique Identifier, the card
 * capability container, the printed information. Each function makes the content of a data object, without the outer tag 53.
 *
 * A security object (section 3.1.7) is not made here: it is a list of hashes that the issuer's signer signs, and without that signature it
 * says nothing. A discovery object and a key history are the card's and the driver's own.
 */
import { encodeTlv } from "../apdu/index.ts";
import { concat, DataError, fromHex, utf8 } from "../bytes/index.ts";

/** Ends a data object: an error detection code that is not used (SP 800-73-4 part 1 appendix A). */
const ERROR_DETECTION = /* @__PURE__ */ encodeTlv(0xfe);

/** The parts of a Federal Agency Smart Credential Number, in decimal digits (TIG SCEPACS 2.3 section 6.1). */
export interface FascnParts {
  /** 4 digits; 9999 for an issuer that is no federal agency. */
  readonly agency: string;
  /** 4 digits. */
  readonly system: string;
  /** 6 digits. */
  readonly credential: string;
  /** 1 digit. Default: 0. */
  readonly series?: string;
  /** 1 digit. Default: 1. */
  readonly issue?: string;
  /** 10 digits: the person's number. Default: zeros. */
  readonly person?: string;
  /** 1 digit. Default: 3, a commercial enterprise. */
  readonly category?: string;
  /** 4 digits. Default: zeros. */
  readonly organisation?: string;
  /** 1 digit. Default: 1, an employee. */
  readonly association?: string;
}

const LENGTHS = {
  agency: 4,
  system: 4,
  credential: 6,
  series: 1,
  issue: 1,
  person: 10,
  category: 1,
  organisation: 4,
  association: 1,
} as const satisfies Record<keyof FascnParts, number>;

const START = 0b1011;
const FIELD = 0b1101;
const END = 0b1111;

/**
 * Encodes a FASC-N: 25 bytes, which are 40 characters of four bits, least significant first, with a bit of odd parity each; the last
 * character is the check over all others.
 * @throws {DataError} for a part that has not its number of digits.
 */
export function encodeFascn(given: FascnParts): Uint8Array {
  const parts = {
    series: "0",
    issue: "1",
    person: "0".repeat(LENGTHS.person),
    category: "3",
    organisation: "0".repeat(LENGTHS.organisation),
    association: "1",
    ...given,
  };
  for (const name of Object.keys(LENGTHS) as (keyof FascnParts)[]) {
    if (parts[name].length !== LENGTHS[name] || !/^\d+$/u.test(parts[name])) {
      throw new DataError(`FASC-N: ${name} has ${LENGTHS[name]} digits`);
    }
  }
  const { agency, system, credential, series, issue, person, category, organisation, association } = parts;
  const digits = (text: string): number[] => Array.from(text, Number);
  const characters = [
    START,
    ...[agency, system, credential, series, issue].flatMap((part) => [...digits(part), FIELD]),
    ...digits(person + category + organisation + association),
    END,
  ];
  characters.push(characters.reduce((check, character) => check ^ character, 0));
  const bits = characters.map(withParity).join("");
  return Uint8Array.from({ length: bits.length / 8 }, (_, index) =>
    Number.parseInt(bits.slice(8 * index, 8 * index + 8), 2),
  );
}

function withParity(character: number): string {
  const bits = Array.from({ length: 4 }, (_, index) => (character >> index) & 1);
  const ones = bits.reduce((sum, bit) => sum + bit, 0);
  return [...bits, 1 - (ones % 2)].join("");
}

/** The number that issuers without an agency code put into a CHUID: the card's GUID tells the cards apart. */
export const NON_FEDERAL_FASCN: FascnParts = { agency: "9999", system: "9999", credential: "999999" };

/** The contents of a CHUID. */
export interface NewChuid {
  /** 25 bytes. */
  readonly fascn: Uint8Array;
  /** The card's UUID, 16 bytes. */
  readonly guid: Uint8Array;
  readonly expires: Date;
}

/**
 * A Card Holder Unique Identifier (section 3.1.2, table 9). It is not signed: the field of the signature is empty, as other programs for
 * cards outside the government write it.
 */
export function encodeChuid({ fascn, guid, expires }: NewChuid): Uint8Array {
  return concat(
    encodeTlv(0x30, fascn),
    encodeTlv(0x34, guid),
    encodeTlv(0x35, utf8(expires.toISOString().slice(0, 10).replaceAll("-", ""))),
    encodeTlv(0x3e),
    ERROR_DETECTION,
  );
}

/** RID, card type "Java Card" and card capability identifier of GSC-IS 2.1 cards; an identifier of 14 bytes follows. */
const CARD_IDENTIFIER = /* @__PURE__ */ fromHex("a000000116ff02");

/**
 * A card capability container (section 3.1.1) for a card with the PIV data model.
 * @param identifier 14 bytes that no other card has.
 */
export function encodeCapabilities(identifier: Uint8Array): Uint8Array {
  return concat(
    encodeTlv(0xf0, CARD_IDENTIFIER, identifier),
    // The versions of the container and of its grammar: 2.1.
    encodeTlv(0xf1, Uint8Array.of(0x21)),
    encodeTlv(0xf2, Uint8Array.of(0x21)),
    encodeTlv(0xf3),
    encodeTlv(0xf4, Uint8Array.of(0x00)),
    // The PIV data model.
    encodeTlv(0xf5, Uint8Array.of(0x10)),
    ...[0xf6, 0xf7, 0xfa, 0xfb, 0xfc, 0xfd].map((tag) => encodeTlv(tag)),
    ERROR_DETECTION,
  );
}

/** What is printed on a card. */
export interface NewPrintedInformation {
  /** At most 125 bytes. */
  readonly name: string;
  /** At most 20 bytes. */
  readonly affiliation?: string;
  readonly expires?: Date;
  /** At most 20 bytes. */
  readonly serial?: string;
  /** At most 15 bytes. */
  readonly issuer?: string;
}

const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

/** Printed information (section 3.1.6, table 16). @throws {DataError} for a field that is too long. */
export function encodePrintedInformation(given: NewPrintedInformation): Uint8Array {
  const { expires } = given;
  const date =
    expires &&
    `${expires.getUTCFullYear()}${MONTHS[expires.getUTCMonth()] ?? ""}${String(expires.getUTCDate()).padStart(2, "0")}`;
  const field = (tag: number, name: string, text: string | undefined, limit: number): Uint8Array => {
    if (text === undefined) return new Uint8Array();
    const value = utf8(text);
    if (value.length > limit) throw new DataError(`printed information: ${name} has ${limit} bytes at most`);
    return encodeTlv(tag, value);
  };
  return concat(
    field(0x01, "the name", given.name, 125),
    field(0x02, "the affiliation", given.affiliation, 20),
    field(0x04, "the expiry", date, 9),
    field(0x05, "the serial number", given.serial, 20),
    field(0x06, "the issuer", given.issuer, 15),
    ERROR_DETECTION,
  );
}
