import { equalBytes, fromHex, toHex } from "../bytes/index.ts";

/**
 * A Federal Agency Smart Credential Number: 25 bytes, which are 40 characters of 4 bits, least significant first, and a bit of odd
 * parity each (TIG SCEPACS 2.3 section 6.1).
 */
export interface Fascn {
  /** Decimal digits; empty if the coding is wrong. */
  readonly agency: string;
  readonly system: string;
  readonly credential: string;
  /** Whether sentinels, separators and parity are right. */
  readonly wellFormed: boolean;
}

const LENGTH = 25;
const START = "b";
const SEPARATOR = "d";
const END = "f";

/** The agency code of issuers that are not federal agencies (SP 800-73-4 part 1 section 3.1.2). */
const NO_AGENCY = "9999";
const NOTHING: Fascn = { agency: "", system: "", credential: "", wellFormed: false };

export function readFascn(bytes: Uint8Array): Fascn {
  if (bytes.length !== LENGTH) return NOTHING;
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  const characters = bits.match(/.{5}/gu) ?? [];
  const text = characters
    .map((character) => Number.parseInt(Array.from(character.slice(0, 4)).reverse().join(""), 2).toString(16))
    .join("");
  const odd = characters.every((character) => character.replaceAll("0", "").length % 2 === 1);
  const form = new RegExp(
    `^${START}(\\d{4})${SEPARATOR}(\\d{4})${SEPARATOR}(\\d{6})${SEPARATOR}\\d${SEPARATOR}\\d${SEPARATOR}\\d{16}${END}.$`,
    "u",
  );
  const [, agency, system, credential] = form.exec(text) ?? [];
  if (agency === undefined || system === undefined || credential === undefined) return NOTHING;
  return { agency, system, credential, wellFormed: odd };
}

/**
 * Whether two numbers mean the same card. For an issuer without an agency code, only the first three fields count: the
 * UUID distinguishes its cards (SP 800-73-4 part 1 section 3.1.2).
 */
export function sameFascn(one: Uint8Array, other: Uint8Array): boolean {
  if (equalBytes(one, other)) return true;
  const [first, second] = [readFascn(one), readFascn(other)];
  return (
    first.agency === NO_AGENCY &&
    first.agency === second.agency &&
    first.system === second.system &&
    first.credential === second.credential
  );
}

/** For people: "3201-1234-567890", or the bytes if the coding is wrong. */
export function fascnText(bytes: Uint8Array): string {
  const { agency, system, credential } = readFascn(bytes);
  return agency === ""
    ? toHex(bytes).toUpperCase()
    : `${toHex(bytes).toUpperCase()} (${agency}-${system}-${credential})`;
}

/** "94e28c68-84db-44db-8a0e-f502d6689b14" for 16 bytes. */
export function uuidText(bytes: Uint8Array): string {
  return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/u, "$1-$2-$3-$4-$5");
}

/** The UUID of a URN (RFC 4122 section 3); undefined for any other URI. */
export function uuidOfUrn(uri: string): Uint8Array | undefined {
  const [, digits] = /^urn:uuid:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/iu.exec(uri) ?? [];
  return digits === undefined ? undefined : fromHex(digits.replaceAll("-", ""));
}

/** Whether variant and version are those of RFC 4122: version 1, 4 or 5 (SP 800-73-4 part 1 section 3.4.1). */
export function isValidUuid(bytes: Uint8Array): boolean {
  const version = (bytes[6] ?? 0) >> 4;
  return bytes.length === 16 && (bytes[8] ?? 0) >> 6 === 0b10 && [1, 4, 5].includes(version);
}
