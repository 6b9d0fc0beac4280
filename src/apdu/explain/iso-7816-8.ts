import { DataError, toHex } from "../../bytes/index.ts";
import { readTlvs } from "../tlv.ts";
import { bytesLong, type ExplainedCommand, hex, type Instruction, p1p2 } from "./instruction.ts";
import { describePath } from "./names.ts";

const PART_8 = "ISO/IEC 7816-8:2004";

/** PERFORM SECURITY OPERATION: P1 is the tag of the output, P2 of the input. */
const OPERATIONS: readonly (readonly [p1p2: number, operation: string, section: string])[] = [
  [0x8e80, "COMPUTE CRYPTOGRAPHIC CHECKSUM", "5.3"],
  [0x9e9a, "COMPUTE DIGITAL SIGNATURE", "5.4"],
  [0x9eac, "COMPUTE DIGITAL SIGNATURE", "5.4"],
  [0x9ebc, "COMPUTE DIGITAL SIGNATURE", "5.4"],
  [0x9080, "HASH", "5.5"],
  [0x90a0, "HASH", "5.5"],
  [0x00a2, "VERIFY CRYPTOGRAPHIC CHECKSUM", "5.6"],
  [0x00a8, "VERIFY DIGITAL SIGNATURE", "5.7"],
  [0x0092, "VERIFY CERTIFICATE", "5.8"],
  [0x00ae, "VERIFY CERTIFICATE", "5.8"],
  [0x00be, "VERIFY CERTIFICATE", "5.8"],
  [0x8280, "ENCIPHER", "5.9"],
  [0x8480, "ENCIPHER", "5.9"],
  [0x8680, "ENCIPHER", "5.9"],
  [0x8082, "DECIPHER", "5.10"],
  [0x8084, "DECIPHER", "5.10"],
  [0x8086, "DECIPHER", "5.10"],
];

const INPUT: ReadonlyMap<number, string> = new Map([
  [0x80, "plain value"],
  [0x82, "cryptogram of BER-TLV"],
  [0x84, "cryptogram, padding known"],
  [0x86, "cryptogram after a padding indicator byte"],
  [0x92, "certificate"],
  [0x9a, "hash or data to sign"],
  [0xa0, "template of what to hash"],
  [0xac, "template of what to sign"],
  [0xae, "template of what the certificate signs"],
  [0xbc, "template of what to sign"],
  [0xbe, "template of what the certificate signs"],
]);

function operationInput({ p2, data }: ExplainedCommand): string[] {
  const input = INPUT.get(p2);
  return [...(input === undefined ? [] : [`input ${hex(p2)}: ${input}`]), `${bytesLong(data.length)} of data`];
}

/** Control reference templates of MANAGE SECURITY ENVIRONMENT, P2 of SET (ISO/IEC 7816-4 section 10.3.2). */
const TEMPLATES: ReadonlyMap<number, string> = new Map([
  [0xa4, "authentication (AT)"],
  [0xa6, "key agreement (KAT)"],
  [0xaa, "hash code (HT)"],
  [0xb4, "cryptographic checksum (CCT)"],
  [0xb6, "digital signature (DST)"],
  [0xb8, "confidentiality (CT)"],
]);

const PURPOSES: readonly (readonly [bit: number, purpose: string])[] = [
  [0x80, "verification, encipherment, external authentication"],
  [0x40, "computation, decipherment, internal authentication"],
  [0x20, "secure messaging in answers"],
  [0x10, "secure messaging in commands"],
];

const MSE_ACTIONS: ReadonlyMap<number, string> = new Map([
  [0x1, "SET"],
  [0x2, "STORE"],
  [0x3, "RESTORE"],
  [0x4, "ERASE"],
]);

/** Control reference data objects whose values name keys, files and algorithms (section 10.3.3). */
const REFERENCES: ReadonlyMap<number, string> = new Map([
  [0x80, "algorithm"],
  [0x81, "file"],
  [0x82, "DF name"],
  [0x83, "key"],
  [0x84, "private or session key"],
  [0x95, "usage"],
]);

function securityEnvironment({ p1, p2, data }: ExplainedCommand): string[] {
  const action = MSE_ACTIONS.get(p1 & 0x0f) ?? `P1 ${hex(p1)}`;
  if ((p1 & 0x0f) !== 1) return [`${action} environment ${p2}`];
  return [
    `${action} template ${hex(p2)}: ${TEMPLATES.get(p2) ?? "unknown"}`,
    ...PURPOSES.filter(([bit]) => (p1 & bit) !== 0).map(([, purpose]) => `for ${purpose}`),
    ...controlReferences(data),
  ];
}

/** Shows the values of references only: other objects may hold key material. */
function controlReferences(data: Uint8Array): string[] {
  try {
    return readTlvs(data).map(({ tag, value }) => {
      const name = REFERENCES.get(tag);
      return name === undefined ? `data object ${hex(tag)}` : `${name} ${toHex(value).toUpperCase()}`;
    });
  } catch (error) {
    if (error instanceof DataError) return ["data that does not parse"];
    throw error;
  }
}

const GENERATE: ReadonlyMap<number, string> = new Map([
  [0x80, "generates; returns the public key as stored"],
  [0x81, "reads the public key"],
  [0x82, "generates; returns the public key as the extended header list says"],
  [0x83, "reads the public key as the extended header list says"],
  [0x84, "generates; returns no public key"],
]);

function generate({ p1, p2 }: ExplainedCommand): string[] {
  return [GENERATE.get(p1) ?? `P1 ${hex(p1)}`, ...(p2 === 0 ? [] : [`P2 ${hex(p2)}`])];
}

/** Security operations (ISO/IEC 7816-8), and MANAGE SECURITY ENVIRONMENT, which prepares them (ISO/IEC 7816-4). */
export const ISO_7816_8: readonly Instruction[] = [
  ...OPERATIONS.flatMap(([parameters, operation, section]) =>
    [0x2a, 0x2b].map((ins) => ({
      ins,
      name: `PERFORM SECURITY OPERATION: ${operation}`,
      standard: `${PART_8} ${section}`,
      when: (command: ExplainedCommand) => p1p2(command) === parameters,
      details: operationInput,
    })),
  ),
  ...[0x2a, 0x2b].map((ins) => ({
    ins,
    name: "PERFORM SECURITY OPERATION",
    standard: `${PART_8} 5.2`,
    details: ({ p1, p2 }: ExplainedCommand) => [`answer ${hex(p1)}`, `input ${hex(p2)}`],
  })),
  ...[0x22, 0x23].map((ins) => ({
    ins,
    name: "MANAGE SECURITY ENVIRONMENT",
    standard: "ISO/IEC 7816-4 11.5.11",
    details: securityEnvironment,
  })),
  ...[0x46, 0x47].map((ins) => ({
    ins,
    name: "GENERATE ASYMMETRIC KEY PAIR",
    standard: `${PART_8} 5.1`,
    details: generate,
  })),
];

function target({ data }: ExplainedCommand): string[] {
  return [data.length === 0 ? "current file" : describePath(data)];
}

const ROWS: readonly (readonly [ins: number, name: string, details: Instruction["details"]])[] = [
  [0x04, "DEACTIVATE FILE", target],
  [0x44, "ACTIVATE FILE", target],
  [0xe0, "CREATE FILE", ({ data }) => [`${bytesLong(data.length)} of file control parameters`]],
  [0xe4, "DELETE FILE", target],
  [0xe6, "TERMINATE DF", target],
  [0xe8, "TERMINATE EF", target],
  [0xfe, "TERMINATE CARD USAGE", () => ["permanently"]],
];

/** Commands for card and file management (ISO/IEC 7816-9). */
export const ISO_7816_9: readonly Instruction[] = ROWS.map(([ins, name, details]) => ({
  ins,
  name,
  standard: "ISO/IEC 7816-9",
  ...(details && { details }),
}));
