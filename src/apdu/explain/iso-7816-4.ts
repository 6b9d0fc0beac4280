import { toHex } from "../../bytes/index.ts";
import { describeApplication, describePath, PIN_REFERENCES } from "./names.ts";
import { bytesLong, hex, type ExplainedCommand, type Instruction, p1p2 } from "./instruction.ts";

const iso = (section: string): string => `ISO/IEC 7816-4 ${section}`;

type Row = readonly [ins: number, name: string, section: string, details?: Instruction["details"]];

/** Instructions with an even and an odd code; with the odd one the offset or content is BER-TLV (section 5.5). */
const pair = (even: number, name: string, section: string, details: Instruction["details"] = dataLength): Row[] => [
  [even, name, section, details],
  [even | 1, name, section, details],
];

function dataLength({ data }: ExplainedCommand): string[] {
  return data.length === 0 ? [] : [`${bytesLong(data.length)} of data`];
}

function wanted({ ne }: ExplainedCommand): string[] {
  if (ne === undefined) return [];
  return [ne === 256 || ne === 65_536 ? "all there is" : `up to ${bytesLong(ne)}`];
}

const SELECTION: ReadonlyMap<number, string> = new Map([
  [0x00, "MF, DF or EF by file identifier"],
  [0x01, "child DF"],
  [0x02, "EF under the current DF"],
  [0x03, "parent DF"],
  [0x04, "by name"],
  [0x08, "by path from the MF"],
  [0x09, "by path from the current DF"],
]);
const CONTROL_INFORMATION = ["wants FCI", "wants FCP", "wants FMD", "wants no answer data"] as const;
const OCCURRENCE = ["first or only occurrence", "last occurrence", "next occurrence", "previous occurrence"] as const;

function select({ p1, p2, data }: ExplainedCommand): string[] {
  const target = p1 === 0x04 ? describeApplication(data) : describePath(data);
  const occurrence = OCCURRENCE[p2 & 0b11] ?? OCCURRENCE[0];
  return [
    [SELECTION.get(p1) ?? `P1 ${hex(p1)}`, target].filter(Boolean).join(": "),
    CONTROL_INFORMATION[(p2 >> 2) & 0b11] ?? CONTROL_INFORMATION[0],
    ...((p2 & 0b11) === 0 ? [] : [occurrence]),
  ];
}

/**
 * P1-P2: an offset, or a short EF identifier and an offset; with an odd instruction a file, and the offset is in the
 * data.
 */
function binary(command: ExplainedCommand): string[] {
  const { ins, p1, p2 } = command;
  if ((ins & 1) !== 0) {
    const file = p1p2(command);
    return [file === 0 ? "current EF" : `EF ${hex(file, 4)}`, "offset in data object 54", ...wanted(command)];
  }
  const place = (p1 & 0x80) === 0 ? ["current EF", `offset ${p1p2(command)}`] : [shortEf(p1 & 0x1f), `offset ${p2}`];
  return [...place, ...dataLength(command), ...wanted(command)];
}

const shortEf = (identifier: number): string => (identifier === 0 ? "current EF" : `short EF ${hex(identifier)}`);

const RECORDS = [
  "first occurrence of identifier",
  "last occurrence of identifier",
  "next occurrence of identifier",
  "previous occurrence of identifier",
  "record",
  "all records from",
  "all records from the last to",
] as const;

function record(command: ExplainedCommand): string[] {
  const { p1, p2 } = command;
  return [
    shortEf(p2 >> 3),
    `${RECORDS[p2 & 0b111] ?? "reserved mode, record"} ${p1}`,
    ...dataLength(command),
    ...wanted(command),
  ];
}

/**
 * Even instruction: P1-P2 is the tag. Odd: P1-P2 is the file, and a tag list or header list names the objects (section
 * 11.4).
 */
function dataObject(command: ExplainedCommand): string[] {
  const { ins, p1, data } = command;
  const target = p1p2(command);
  if ((ins & 1) === 0) return [`data object ${p1 === 0 ? hex(target) : hex(target, 4)}`, ...dataLength(command)];
  const list = data[0] === 0x5c ? [`tag list ${toHex(data.subarray(2, 2 + (data[1] ?? 0))).toUpperCase()}`] : [];
  return [describePath(Uint8Array.of(target >> 8, target & 0xff)), ...list];
}

/**
 * P2 of VERIFY and related commands (section 11.5.1 table 94): global or local, and the number of the reference data.
 */
function reference({ p2 }: ExplainedCommand): string {
  const place = p2 === 0 ? "implied" : `${(p2 & 0x80) === 0 ? "global" : "local"} ${p2 & 0x1f}`;
  const piv = PIN_REFERENCES.get(p2);
  return `reference ${hex(p2)}: ${place}${piv === undefined ? "" : ` (PIV: ${piv})`}`;
}

function verify(command: ExplainedCommand): string[] {
  if (command.p1 === 0xff) return [reference(command), "resets the verified state"];
  return [reference(command), command.data.length === 0 ? "queries the tries left; spends none" : "data concealed"];
}

const CHANGE = ["old and new value", "new value alone"] as const;
const RESET = ["reset code and new value", "reset code alone", "new value alone", "only the reference"] as const;

const withReference =
  (modes: readonly string[]): Instruction["details"] =>
  (command) => [reference(command), modes[command.p1] ?? `P1 ${hex(command.p1)}`, ...concealed(command)];

const concealed = ({ data }: ExplainedCommand): string[] => (data.length === 0 ? [] : ["data concealed"]);

const authenticate: Instruction["details"] = (command) => [
  command.p1 === 0 ? "algorithm implied" : `algorithm ${hex(command.p1)}`,
  command.p2 === 0 ? "key implied" : `key ${hex(command.p2)}`,
  ...dataLength(command),
];

function manageChannel({ p1, p2 }: ExplainedCommand): string[] {
  if (p1 === 0x00) return [p2 === 0 ? "opens a logical channel, number by the card" : `opens logical channel ${p2}`];
  if (p1 === 0x80) return [p2 === 0 ? "closes this logical channel" : `closes logical channel ${p2}`];
  return [`P1 ${hex(p1)}`];
}

const ROWS: readonly Row[] = [
  [0x06, "DEACTIVATE RECORD", "11.3.10", record],
  [0x08, "ACTIVATE RECORD", "11.3.9", record],
  ...pair(0x0c, "ERASE RECORD", "11.3.8", record),
  ...pair(0x0e, "ERASE BINARY", "11.2.7", binary),
  ...pair(0x20, "VERIFY", "11.5.6", verify),
  ...pair(0x24, "CHANGE REFERENCE DATA", "11.5.7", withReference(CHANGE)),
  [0x26, "DISABLE VERIFICATION REQUIREMENT", "11.5.9", withReference(["with the reference data"])],
  [0x28, "ENABLE VERIFICATION REQUIREMENT", "11.5.8", withReference(["with the reference data"])],
  ...pair(0x2c, "RESET RETRY COUNTER", "11.5.10", withReference(RESET)),
  [0x33, "COMPARE", "11.6.1", dataLength],
  ...pair(0x34, "GET ATTRIBUTE", "11.6.2"),
  [0x70, "MANAGE CHANNEL", "11.1.2", manageChannel],
  [0x82, "EXTERNAL AUTHENTICATE", "11.5.4", authenticate],
  [0x84, "GET CHALLENGE", "11.5.3", wanted],
  ...pair(0x86, "GENERAL AUTHENTICATE", "11.5.5", authenticate),
  [0x88, "INTERNAL AUTHENTICATE", "11.5.2", authenticate],
  ...pair(0xa0, "SEARCH BINARY", "11.2.6", binary),
  [0xa2, "SEARCH RECORD", "11.3.7", record],
  [0xa4, "SELECT", "11.1.1", select],
  [0xa5, "SELECT DATA", "11.4.2", dataLength],
  ...pair(0xb0, "READ BINARY", "11.2.3", binary),
  ...pair(0xb2, "READ RECORD", "11.3.3", record),
  [0xc0, "GET RESPONSE", "11.7.1", wanted],
  ...pair(0xc2, "ENVELOPE", "11.7.2"),
  [0xca, "GET DATA", "11.4.3", dataObject],
  [0xcb, "GET DATA", "11.4.4", dataObject],
  [0xcc, "GET NEXT DATA", "11.4.3", dataObject],
  [0xcd, "GET NEXT DATA", "11.4.4", dataObject],
  ...pair(0xd0, "WRITE BINARY", "11.2.4", binary),
  [0xd2, "WRITE RECORD", "11.3.4", record],
  ...pair(0xd6, "UPDATE BINARY", "11.2.5", binary),
  ...pair(0xd8, "PUT NEXT DATA", "11.4.7", dataObject),
  ...pair(0xda, "PUT DATA", "11.4.6", dataObject),
  ...pair(0xdc, "UPDATE RECORD", "11.3.5", record),
  ...pair(0xde, "UPDATE DATA", "11.4.8", dataObject),
  [0xe2, "APPEND RECORD", "11.3.6", ({ p2, data }) => [shortEf(p2 >> 3), `${bytesLong(data.length)} of data`]],
];

/** Interindustry commands (ISO/IEC 7816-4 section 11). */
export const ISO_7816_4: readonly Instruction[] = [
  // EXTERNAL AUTHENTICATE with an answer authenticates both ways (section 11.5.4).
  {
    ins: 0x82,
    name: "MUTUAL AUTHENTICATE",
    standard: iso("11.5.4"),
    when: ({ ne }) => ne !== undefined,
    details: authenticate,
  },
  ...ROWS.map(([ins, name, section, details]) => ({ ins, name, standard: iso(section), ...(details && { details }) })),
];
