import { DataError, toHex } from "../bytes/index.ts";
import { berToDer } from "./ber.ts";
import { DerReader } from "./reader.ts";
import { TAG } from "./values.ts";

/** Keywords of attribute types (RFC 4514 section 3, RFC 4519), and further ones of OpenSSL. */
const KEYWORDS: ReadonlyMap<string, string> = new Map([
  ["2.5.4.3", "CN"],
  ["2.5.4.4", "SN"],
  ["2.5.4.5", "serialNumber"],
  ["2.5.4.6", "C"],
  ["2.5.4.7", "L"],
  ["2.5.4.8", "ST"],
  ["2.5.4.9", "street"],
  ["2.5.4.10", "O"],
  ["2.5.4.11", "OU"],
  ["2.5.4.12", "title"],
  ["2.5.4.42", "GN"],
  ["2.5.4.43", "initials"],
  ["2.5.4.46", "dnQualifier"],
  ["2.5.4.65", "pseudonym"],
  ["2.5.4.97", "organizationIdentifier"],
  ["0.9.2342.19200300.100.1.1", "UID"],
  ["0.9.2342.19200300.100.1.25", "DC"],
  ["1.2.840.113549.1.9.1", "emailAddress"],
]);

const UNIVERSAL_STRING = 0x1c;
const BMP_STRING = 0x1e;

/** One attribute of a distinguished name. */
export interface NameAttribute {
  /** Dotted. */
  readonly oid: string;
  /** For people. A value that is not text is in hexadecimal, after a "#". */
  readonly value: string;
}

/**
 * Parses a distinguished name (RFC 5280 section 4.1.2.4): its relative names in order, each a set of attributes.
 * @throws {DataError} if it is malformed.
 */
export function readName(name: Uint8Array): readonly (readonly NameAttribute[])[] {
  const names = new DerReader(berToDer(name, 0, "name").der, "name").enter();
  const found: NameAttribute[][] = [];
  while (names.remaining > 0) {
    const attributes = names.enter(TAG.SET);
    const relative: NameAttribute[] = [];
    while (attributes.remaining > 0) {
      const attribute = attributes.enter();
      const oid = attribute.oid();
      const { tag, contents } = attribute.next();
      relative.push({ oid, value: textOf(tag, contents) });
    }
    found.push(relative);
  }
  return found;
}

/**
 * Formats a distinguished name in a line, the narrowest attribute first (RFC 4514): "CN=Ola, O=Example, C=NO". Empty if
 * the name is.
 * @throws {DataError} if it is malformed.
 */
export function nameText(name: Uint8Array): string {
  return readName(name)
    .toReversed()
    .map((relative) => relative.map(({ oid, value }) => `${KEYWORDS.get(oid) ?? oid}=${escaped(value)}`).join(" + "))
    .join(", ");
}

/** Escapes a value, so that it cannot look like another attribute (RFC 4514 section 2.4). */
function escaped(value: string): string {
  return value.replace(/["+,;<>\\]|^ | $/gu, String.raw`\$&`);
}

/** Malformed UTF-8 becomes U+FFFD. */
function textOf(tag: number, contents: Uint8Array): string {
  switch (tag) {
    case TAG.UTF8_STRING:
    case TAG.PRINTABLE_STRING:
    case TAG.IA5_STRING:
      return new TextDecoder().decode(contents);
    case TAG.T61_STRING:
      return Array.from(contents, (byte) => String.fromCharCode(byte)).join("");
    case BMP_STRING:
      return new TextDecoder("utf-16be").decode(contents);
    case UNIVERSAL_STRING:
      return universalText(contents);
    default:
      return `#${toHex(contents)}`;
  }
}

/** Four bytes for each character (ISO/IEC 10646). */
function universalText(contents: Uint8Array): string {
  if (contents.length % 4 !== 0) throw new DataError("name: a UniversalString that is cut off");
  const view = new DataView(contents.buffer, contents.byteOffset, contents.length);
  return Array.from({ length: contents.length / 4 }, (_, index) => {
    const code = view.getUint32(4 * index);
    return code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
  }).join("");
}
