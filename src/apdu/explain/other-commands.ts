import { bytesLong, type ExplainedCommand, hex, type Instruction, outline, p1p2 } from "./instruction.ts";
import { describeApplication } from "./names.ts";

const GSC = "GSC-IS 2.1 (NISTIR 6887)";

/** Commands of CAC cards, proprietary class. */
export const GSC_IS: readonly Instruction[] = [
  {
    ins: 0x42,
    name: "PRIVATE SIGN/DECRYPT",
    standard: GSC,
    details: ({ p1, data }) => [
      `${bytesLong(data.length)} of input`,
      ...((p1 & 0x80) === 0 ? [] : ["more parts follow"]),
    ],
  },
  { ins: 0x4c, name: "GET ACR", standard: GSC },
  { ins: 0x52, name: "READ BUFFER", standard: GSC, details: (command) => [`offset ${p1p2(command)}`] },
  { ins: 0x56, name: "GET PROPERTIES", standard: GSC },
  { ins: 0x58, name: "UPDATE BUFFER", standard: GSC, details: (command) => [`offset ${p1p2(command)}`] },
];

const SMARTCARD_HSM = "SmartCard-HSM (OpenSC, card-sc-hsm.c)";
const SIGN_WITH: Readonly<Record<number, string>> = { 0x20: "RSA without padding", 0x70: "ECDSA" };

/** Commands of CardContact's applet, proprietary class, except those with the same form as a CAC's. */
export const SMARTCARD_HSM_COMMANDS: readonly Instruction[] = [
  { ins: 0x58, name: "ENUMERATE OBJECTS", standard: SMARTCARD_HSM, when: ({ data }) => data.length === 0 },
  {
    ins: 0x62,
    name: "DECIPHER",
    standard: SMARTCARD_HSM,
    details: ({ p1, p2 }) => [`key ${p1}`, p2 === 0x80 ? "agrees on a secret" : `algorithm ${hex(p2)}`],
  },
  {
    ins: 0x68,
    name: "SIGN",
    standard: SMARTCARD_HSM,
    details: ({ p1, p2 }) => [`key ${p1}`, SIGN_WITH[p2] ?? `algorithm ${hex(p2)}`],
  },
];

const READER = "PC/SC part 3 3.2.2.1";

/** Class FF: commands that a contactless reader answers itself. */
export const READER_COMMANDS: readonly Instruction[] = [
  { ins: 0x82, name: "LOAD KEYS", standard: READER, details: () => ["data concealed"] },
  { ins: 0x86, name: "GENERAL AUTHENTICATE", standard: READER },
  { ins: 0xb0, name: "READ BINARY", standard: READER, details: (command) => [`block ${p1p2(command)}`] },
  {
    ins: 0xca,
    name: "GET DATA",
    standard: READER,
    details: ({ p1 }) => [p1 === 0 ? "identifier of the card (UID)" : "historical bytes of the ATS"],
  },
  { ins: 0xd6, name: "UPDATE BINARY", standard: READER, details: (command) => [`block ${p1p2(command)}`] },
];

const GP = "GlobalPlatform 2.3";

/** The application identifier in data object 4F. */
function identifier(data: Uint8Array): string[] {
  const aid = outline(data).find(({ tag }) => tag === 0x4f)?.value;
  return aid === undefined || aid.length === 0 ? [] : [describeApplication(aid)];
}

/** Fields that begin with their length, at most `most` of them. */
function fields(data: Uint8Array, most: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (let offset = 0; offset < data.length && found.length < most;) {
    const length = data[offset] ?? 0;
    found.push(data.subarray(offset + 1, offset + 1 + length));
    offset += 1 + length;
  }
  return found;
}

const SECURITY_LEVELS: readonly (readonly [bit: number, level: string])[] = [
  [0x01, "C-MAC"],
  [0x02, "C-DECRYPTION"],
  [0x10, "R-MAC"],
  [0x20, "R-ENCRYPTION"],
];

function securityLevel({ p1 }: ExplainedCommand): string[] {
  const levels = SECURITY_LEVELS.filter(([bit]) => (p1 & bit) !== 0).map(([, level]) => level);
  return [`security level ${hex(p1)}: ${levels.join(", ") || "authentication alone"}`, "data concealed"];
}

const STATUS_OF: ReadonlyMap<number, string> = new Map([
  [0x80, "issuer security domain"],
  [0x40, "applications and security domains"],
  [0x20, "executable load files"],
  [0x10, "executable load files and their modules"],
]);

const INSTALL_FOR: readonly (readonly [bit: number, purpose: string])[] = [
  [0x02, "load"],
  [0x04, "install"],
  [0x08, "make selectable"],
  [0x10, "extradition"],
  [0x20, "personalization"],
  [0x40, "registry update"],
];

function install({ p1, data }: ExplainedCommand): string[] {
  const purposes = INSTALL_FOR.filter(([bit]) => (p1 & bit) !== 0).map(([, purpose]) => purpose);
  const identifiers = fields(data, 3).filter(({ length }) => length >= 5 && length <= 16);
  return [`for ${purposes.join(" and ") || "nothing"}`, ...identifiers.map(describeApplication)];
}

const block: Instruction["details"] = ({ p1, p2, data }) => [
  `block ${p2}${(p1 & 0x80) === 0 ? "" : ", the last"}`,
  bytesLong(data.length),
];

const DATA_OBJECTS: ReadonlyMap<number, string> = new Map([
  [0x0042, "issuer identification number"],
  [0x0045, "card image number"],
  [0x0066, "card data"],
  [0x0067, "card capability information"],
  [0x00c1, "sequence counter of the default key version"],
  [0x00c2, "confirmation counter"],
  [0x00cf, "key derivation data"],
  [0x00e0, "key information template"],
  [0x2f00, "list of applications"],
  [0x9f7f, "card production life cycle (CPLC)"],
]);

function getData(command: ExplainedCommand): string[] {
  const tag = p1p2(command);
  const name = DATA_OBJECTS.get(tag);
  return [`data object ${hex(tag, 4)}${name === undefined ? "" : `: ${name}`}`];
}

function keyPlace({ p1, p2 }: ExplainedCommand): string[] {
  const version = p1 & 0x7f;
  return [
    version === 0 ? "adds keys" : `replaces key version ${hex(version)}`,
    `key identifier ${hex(p2 & 0x7f)}${(p2 & 0x80) === 0 ? "" : " and following"}`,
    "data concealed",
  ];
}

type Row = readonly [ins: number, name: string, section: string, details?: Instruction["details"]];

const ROWS: readonly Row[] = [
  [0x50, "INITIALIZE UPDATE", "E.5.1", ({ p1, p2 }) => [`key version ${hex(p1)}`, `key identifier ${hex(p2)}`]],
  [0x70, "MANAGE CHANNEL", "11.7"],
  [0x78, "END R-MAC SESSION", "E.5.4"],
  [0x7a, "BEGIN R-MAC SESSION", "E.5.3"],
  [0x82, "EXTERNAL AUTHENTICATE", "E.5.2", securityLevel],
  [0xca, "GET DATA", "11.3", getData],
  [0xcb, "GET DATA", "11.3", getData],
  [0xd8, "PUT KEY", "11.8", keyPlace],
  [
    0xe2,
    "STORE DATA",
    "11.11",
    ({ p1, p2 }) => [`block ${p2}${(p1 & 0x80) === 0 ? "" : ", the last"}`, "data concealed"],
  ],
  [
    0xe4,
    "DELETE",
    "11.2",
    ({ p2, data }) => [...identifier(data), ...((p2 & 0x80) === 0 ? [] : ["and related objects"])],
  ],
  [0xe6, "INSTALL", "11.5", install],
  [0xe8, "LOAD", "11.6", block],
  [0xf0, "SET STATUS", "11.10", ({ p1, p2 }) => [`of ${STATUS_OF.get(p1 & 0xe0) ?? hex(p1)}`, `life cycle ${hex(p2)}`]],
  [0xf2, "GET STATUS", "11.4", ({ p1, data }) => [STATUS_OF.get(p1) ?? `P1 ${hex(p1)}`, ...identifier(data)]],
];

/** Commands of the proprietary class to a security domain (GlobalPlatform Card Specification 2.3 chapter 11, annex E). */
export const GLOBALPLATFORM: readonly Instruction[] = ROWS.map(([ins, name, section, details]) => ({
  ins,
  name,
  standard: `${GP} ${section}`,
  ...(details && { details }),
}));
