/** The parts of a Federal Agency Smart Credential Number, decimal digits (TIG SCEPACS section 2). */
export interface Fascn {
  readonly agency: string;
  readonly system: string;
  readonly credential: string;
  readonly series: string;
  readonly issue: string;
  readonly person: string;
  readonly category: string;
  readonly organisation: string;
  readonly association: string;
}

/** A number that no agency has: 9999 is for those without a code (SP 800-73-4 part 1 section 3.1.2). */
export const TEST_FASCN: Fascn = {
  agency: "9999",
  system: "9999",
  credential: "999999",
  series: "0",
  issue: "1",
  person: "0000000000",
  category: "3",
  organisation: "0000",
  association: "1",
};

const START = 0b1011;
const FIELD = 0b1101;
const END = 0b1111;

/** 25 bytes: 40 characters of four bits, least significant first, and odd parity; the last is the check over all others. */
export function encodeFascn(fascn: Fascn): Uint8Array {
  const digits = (text: string): number[] => Array.from(text, Number);
  const { agency, system, credential, series, issue, person, category, organisation, association } = fascn;
  const characters = [
    START,
    ...[agency, system, credential, series, issue].flatMap((part) => [...digits(part), FIELD]),
    ...digits(person + category + organisation + association),
    END,
  ];
  characters.push(characters.reduce((check, character) => check ^ character, 0));
  const bits = characters.map(withParity).join("");
  return Uint8Array.from({ length: bits.length / 8 }, (_, i) => Number.parseInt(bits.slice(8 * i, 8 * i + 8), 2));
}

function withParity(character: number): string {
  const bits = Array.from({ length: 4 }, (_, i) => (character >> i) & 1);
  const ones = bits.reduce((sum, bit) => sum + bit, 0);
  return [...bits, 1 - (ones % 2)].join("");
}
