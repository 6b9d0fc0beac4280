import { type CommandApdu, findTlv, readTlvs } from "../../apdu/index.ts";
import { concatSecret, copySecret, DataError } from "../../bytes/index.ts";

/** All the data, as far as a short command can request them. */
const ALL = 256;

const command = (ins: number, p1: number, p2: number, data?: Uint8Array, ne?: number): CommandApdu => ({
  cla: 0x00,
  ins,
  p1,
  p2,
  ...(data && data.length > 0 && { data }),
  ...(ne !== undefined && { ne }),
});

/** The requested answer of SELECT (ISO/IEC 7816-4 section 11.1.1, table 63). */
export const SELECT_ANSWER = { FCI: 0x00, FCP: 0x04, NOTHING: 0x0c } as const;
export type SelectAnswer = (typeof SELECT_ANSWER)[keyof typeof SELECT_ANSWER];

/** How SELECT names a file (ISO/IEC 7816-4 section 11.1.1, table 62). */
export const SELECT_BY = { FILE_ID: 0x00, DF_NAME: 0x04, PATH_FROM_MF: 0x08, PATH_FROM_DF: 0x09 } as const;

export function select(by: number, name: Uint8Array, answer: SelectAnswer): CommandApdu {
  return command(0xa4, by, answer, name, answer === SELECT_ANSWER.NOTHING ? undefined : ALL);
}

/** READ BINARY of the current EF; offsets to 32,767 (ISO/IEC 7816-4 section 11.3.3). */
export function readBinary(offset: number, length: number): CommandApdu {
  return command(0xb0, offset >> 8, offset & 0xff, undefined, length);
}

/** READ BINARY from the beginning of the EF with a short identifier, 1 to 30; the EF becomes the current one. */
export function readShortFile(shortId: number, length: number): CommandApdu {
  return command(0xb0, 0x80 | shortId, 0x00, undefined, length);
}

/** READ RECORD by its number, 1 to 254 (ISO/IEC 7816-4 section 11.4.3). */
export function readRecord(number: number): CommandApdu {
  return command(0xb2, number, 0x04, undefined, ALL);
}

/** UPDATE RECORD by its number (ISO/IEC 7816-4 section 11.4.5). */
export function updateRecord(number: number, data: Uint8Array): CommandApdu {
  return command(0xdc, number, 0x04, data);
}

/** APPEND RECORD: adds a record at the end (section 11.4.6). */
export function appendRecord(data: Uint8Array): CommandApdu {
  return command(0xe2, 0x00, 0x00, data);
}

export function updateBinary(offset: number, data: Uint8Array): CommandApdu {
  return command(0xd6, offset >> 8, offset & 0xff, data);
}

/** CREATE FILE with the file control parameters of the new file (ISO/IEC 7816-9 section 6.1). */
export function createFile(fcp: Uint8Array): CommandApdu {
  return command(0xe0, 0x00, 0x00, fcp);
}

/** DELETE FILE: the one with this identifier, or without one the current file (ISO/IEC 7816-9 section 6.2). */
export function deleteFile(id: Uint8Array): CommandApdu {
  return command(0xe4, 0x00, 0x00, id);
}

/** VERIFY; without data it queries the state and spends no try (ISO/IEC 7816-4 section 11.6.6). */
export function verify(reference: number, pin?: Uint8Array): CommandApdu {
  return { ...command(0x20, 0x00, reference, pin), conceal: "command" };
}

/** VERIFY that makes the card forget: the security status becomes "not verified" (ISO/IEC 7816-4:2013 section 11.6.6, P1 = FF). */
export function unverify(reference: number): CommandApdu {
  return command(0x20, 0xff, reference);
}

/** CHANGE REFERENCE DATA: the old PIN and the new one (section 11.6.7). */
export function changeReferenceData(reference: number, oldPin: Uint8Array, newPin: Uint8Array): CommandApdu {
  return { ...command(0x24, 0x00, reference, concatSecret(oldPin, newPin)), conceal: "command" };
}

/** RESET RETRY COUNTER with the resetting code and a new PIN (section 11.6.10). */
export function resetRetryCounter(reference: number, puk: Uint8Array, newPin: Uint8Array): CommandApdu {
  return { ...command(0x2c, 0x00, reference, concatSecret(puk, newPin)), conceal: "command" };
}

/** RESET RETRY COUNTER with a new PIN alone (P1 = 02), after an authentication (section 11.6.10). */
export function setReferenceData(reference: number, newPin: Uint8Array): CommandApdu {
  return { ...command(0x2c, 0x02, reference, copySecret(newPin)), conceal: "command" };
}

/** GET CHALLENGE (section 11.5.3). */
export function getChallenge(length: number): CommandApdu {
  return command(0x84, 0x00, 0x00, undefined, length);
}

/** EXTERNAL AUTHENTICATE with the key of this reference: the answer to the challenge of the command before (section 11.5.4). */
export function externalAuthenticate(reference: number, response: Uint8Array): CommandApdu {
  return { ...command(0x82, 0x00, reference, response), conceal: "command" };
}

/** Control reference templates of MANAGE SECURITY ENVIRONMENT (section 11.5.11, table 99; ISO/IEC 7816-4 table 55). */
export const TEMPLATE = { AUTHENTICATION: 0xa4, SIGNATURE: 0xb6, CONFIDENTIALITY: 0xb8 } as const;

/**
 * MSE SET: the environment of the next operation with a secret key. P1 = 41: computation, decipherment, authentication.
 */
export function setEnvironment(template: number, data: Uint8Array): CommandApdu {
  return command(0x22, 0x41, template, data);
}

/** PSO: COMPUTE DIGITAL SIGNATURE over the given input (ISO/IEC 7816-8 section 5.4.2). */
export function computeSignature(input: Uint8Array): CommandApdu {
  return command(0x2a, 0x9e, 0x9a, input, ALL);
}

/** PSO: DECIPHER a cryptogram after its padding indicator (ISO/IEC 7816-8 section 5.4.9). */
export function decipher(cryptogram: Uint8Array): CommandApdu {
  return { ...command(0x2a, 0x80, 0x86, cryptogram, ALL), conceal: "answer" };
}

/** INTERNAL AUTHENTICATE (ISO/IEC 7816-4 section 11.6.2). */
export function internalAuthenticate(input: Uint8Array): CommandApdu {
  return command(0x88, 0x00, 0x00, input, ALL);
}

/** GENERAL AUTHENTICATE with a dynamic authentication template (ISO/IEC 7816-4 section 11.6.5). */
export function generalAuthenticate(template: Uint8Array): CommandApdu {
  return command(0x86, 0x00, 0x00, template, ALL);
}

/** A file's control information, as far as SELECT returns it (ISO/IEC 7816-4 section 7.4.3, table 10). */
export interface FileControl {
  /** Number of readable bytes. */
  readonly size: number | undefined;
  readonly structure: "transparent" | "records" | "df" | undefined;
  /** Number of records, for a record file. */
  readonly records: number | undefined;
  /** The length of all records. */
  readonly recordSize: number | undefined;
  /** Access rules in the card's own coding, tag and value: 86 proprietary, 8B by reference, 8C compact, AB expanded. */
  readonly security: readonly { readonly tag: number; readonly value: Uint8Array }[];
}

/** For a file of which nothing is known. */
export const NOTHING_TOLD: FileControl = {
  size: undefined,
  structure: undefined,
  records: undefined,
  recordSize: undefined,
  security: [],
};
const TEMPLATES: ReadonlySet<number> = new Set([0x62, 0x64, 0x6f]);
const FCP_IN_FCI = 0x62;
const TAG = { DATA_BYTES: 0x80, ALL_BYTES: 0x81, DESCRIPTOR: 0x82 } as const;
const SECURITY: ReadonlySet<number> = new Set([0x86, 0x8b, 0x8c, 0xab]);

/** Parses FCP, or FCI with or without FCP in it. Anything else is treated as empty, so that the file stays usable. */
export function readFileControl(data: Uint8Array): FileControl {
  try {
    return read(data);
  } catch (error) {
    if (error instanceof DataError) return NOTHING_TOLD;
    throw error;
  }
}

function read(data: Uint8Array): FileControl {
  const outer = readTlvs(data, "file control information").find(({ tag }) => TEMPLATES.has(tag));
  if (!outer) return NOTHING_TOLD;
  const fields = readTlvs(outer.value, "file control information");
  const inner = findTlv(fields, FCP_IN_FCI);
  const all = inner ? readTlvs(inner, "file control parameters") : fields;
  const size = number(findTlv(all, TAG.DATA_BYTES)) ?? number(findTlv(all, TAG.ALL_BYTES));
  const descriptor = findTlv(all, TAG.DESCRIPTOR) ?? new Uint8Array();
  return {
    size,
    ...readDescriptor(descriptor),
    security: all.filter(({ tag }) => SECURITY.has(tag)),
  };
}

function number(bytes: Uint8Array | undefined): number | undefined {
  if (!bytes || bytes.length === 0 || bytes.length > 4) return undefined;
  return bytes.reduce((value, octet) => value * 256 + octet, 0);
}

/** Structures with records of one size: linear fixed, cyclic, each with or without TLV (section 7.4.5, table 12). */
const FIXED: ReadonlySet<number> = new Set([2, 3, 6, 7]);

/** File descriptor byte, data coding byte, maximum record size, number of records (section 7.4.5). */
function readDescriptor(descriptor: Uint8Array): Pick<FileControl, "structure" | "records" | "recordSize"> {
  const none = { records: undefined, recordSize: undefined };
  const [first] = descriptor;
  if (first === undefined) return { structure: undefined, ...none };
  if ((first & 0x38) === 0x38) return { structure: "df", ...none };
  const structure = first & 0x07;
  if (structure <= 1) return { structure: "transparent", ...none };
  // A size may have one byte.
  const recordSize = FIXED.has(structure) ? number(descriptor.subarray(2, 4)) : undefined;
  return { structure: "records", records: number(descriptor.subarray(4)), recordSize };
}
