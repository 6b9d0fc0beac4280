import type { CommandApdu } from "../command.ts";
import { p1p2 } from "./instruction.ts";

/** The name of a tag, and the tags within its value. */
export interface TagName {
  readonly name: string;
  /** Tags within; absent if the value is not parsed, although its tag may be constructed. */
  readonly inside?: TagNames;
}
export type TagNames = ReadonlyMap<number, TagName>;

type Entry = readonly [tag: number, name: string, inside?: TagName["inside"]];

const tags = (...entries: readonly Entry[]): TagNames =>
  new Map(entries.map(([tag, name, inside]) => [tag, { name, ...(inside !== undefined && { inside }) }]));

/** File control parameters (ISO/IEC 7816-4 section 7.4.3 table 11). */
const CONTROL = tags(
  [0x80, "bytes of data"],
  [0x81, "total bytes"],
  [0x82, "file descriptor"],
  [0x83, "file identifier"],
  [0x84, "DF name"],
  [0x85, "proprietary"],
  [0x86, "security attributes, proprietary"],
  [0x87, "EF with more file control information"],
  [0x88, "short EF identifier"],
  [0x8a, "life cycle status"],
  [0x8b, "security attributes, expanded by reference"],
  [0x8c, "security attributes, compact"],
  [0x8d, "EF with security environments"],
  [0xa0, "security attributes for data objects"],
  [0xa1, "security attributes, proprietary template"],
  [0xa2, "pairs of short identifiers and paths"],
  [0xa5, "proprietary template", new Map()],
  [0xab, "security attributes, expanded"],
  [0xac, "cryptographic mechanisms"],
  [0xc6, "PIN status template (PKCS#15 cards)"],
);

/** Application property template of PIV (SP 800-73-4 part 2 table 3). */
const APPLICATION = tags(
  [0x4f, "application identifier"],
  [0x50, "application label"],
  [0x79, "coexistent tag allocation authority", tags([0x4f, "application identifier"], [0x06, "object identifier"])],
  [0x5f50, "uniform resource locator"],
  [0xac, "cryptographic algorithms", tags([0x80, "algorithm"], [0x06, "object identifier"])],
  [0x7f66, "extended length information"],
);

const SELECTED = tags(
  [0x6f, "file control information", CONTROL],
  [0x62, "file control parameters", CONTROL],
  [0x64, "file management data"],
  [0x61, "application property template", APPLICATION],
);

const DETECTION: Entry = [0xfe, "error detection code"];

const CERTIFICATE = tags(
  [0x70, "certificate"],
  [0x71, "certificate information: 00 plain, 01 compressed"],
  [0x72, "MSCUID"],
  DETECTION,
);

const CHUID = tags(
  [0xee, "buffer length"],
  [0x30, "FASC-N"],
  [0x32, "organizational identifier"],
  [0x33, "DUNS"],
  [0x34, "card UUID"],
  [0x35, "expiration date"],
  [0x36, "cardholder UUID"],
  [0x3e, "issuer's signature"],
  DETECTION,
);

const CAPABILITIES = tags(
  [0xf0, "card identifier"],
  [0xf1, "capability container version"],
  [0xf2, "capability grammar version"],
  [0xf3, "applications, card URL"],
  [0xf4, "PKCS#15"],
  [0xf5, "registered data model"],
  [0xf6, "access control rules"],
  [0xf7, "card APDUs"],
  [0xfa, "redirection tag"],
  [0xfb, "capability tuples"],
  [0xfc, "status tuples"],
  [0xfd, "next capability container"],
  DETECTION,
);

const PRINTED = tags(
  [0x01, "name"],
  [0x02, "employee affiliation"],
  [0x04, "expiration date"],
  [0x05, "agency card serial number"],
  [0x06, "issuer identification"],
  [0x07, "organization affiliation, line 1"],
  [0x08, "organization affiliation, line 2"],
  DETECTION,
);

const KEY_HISTORY = tags(
  [0xc1, "keys with certificates on the card"],
  [0xc2, "keys with certificates off the card"],
  [0xf3, "URL of the certificates off the card"],
  DETECTION,
);

const SECURITY_OBJECT = tags([0xba, "mapping of data groups to containers"], [0xbb, "security object"], DETECTION);

const BIOMETRIC = tags([0xbc, "biometric data"], DETECTION);

const wrapped = (inside: TagNames): TagNames => tags([0x53, "data object", inside]);

/** The contents of each PIV data object (SP 800-73-4 part 1 appendix A); all others are certificates. */
const OBJECTS: ReadonlyMap<string, TagNames> = new Map([
  ["5fc102", wrapped(CHUID)],
  ["5fc107", wrapped(CAPABILITIES)],
  ["5fc109", wrapped(PRINTED)],
  ["5fc10c", wrapped(KEY_HISTORY)],
  ["5fc106", wrapped(SECURITY_OBJECT)],
  ["5fc103", wrapped(BIOMETRIC)],
  ["5fc108", wrapped(BIOMETRIC)],
  ["5fc121", wrapped(BIOMETRIC)],
  ["7e", tags([0x7e, "discovery object", tags([0x4f, "application identifier"], [0x5f2f, "PIN usage policy"])])],
]);

const PUBLIC_KEY = tags([
  0x7f49,
  "public key",
  tags([0x81, "modulus"], [0x82, "public exponent"], [0x86, "public point"]),
]);

const AUTHENTICATION = tags([
  0x7c,
  "dynamic authentication template",
  tags([0x80, "witness"], [0x81, "challenge"], [0x82, "response"], [0x85, "exponentiation"]),
]);

/** Metadata of Yubico's PIV application. */
const METADATA = tags(
  [0x01, "algorithm"],
  [0x02, "PIN and touch policy"],
  [0x03, "origin: 01 generated on the card, 02 imported"],
  [0x04, "public key"],
  [0x05, "default value: 01 yes"],
  [0x06, "tries, and tries left"],
);

/** The tags that the answer to `command` may hold; empty if unknown. */
export function tagNamesFor(command: CommandApdu): TagNames {
  switch (command.ins) {
    case 0xa4:
      return SELECTED;
    case 0x46:
    case 0x47:
      return PUBLIC_KEY;
    case 0x86:
    case 0x87:
      return AUTHENTICATION;
    case 0xcb:
      return p1p2(command) === 0x3fff ? objectTags(command.data) : new Map();
    case 0xf7:
      return METADATA;
    default:
      return new Map();
  }
}

/** The command's data is a tag list, 5C. */
function objectTags(list: Uint8Array = new Uint8Array()): TagNames {
  const tag = Array.from(list.subarray(2), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return OBJECTS.get(tag) ?? (tag.startsWith("5fc1") ? wrapped(CERTIFICATE) : new Map());
}
