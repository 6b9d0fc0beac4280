import { concatSecret, type Concealment, DataError } from "../bytes/index.ts";

/** A command APDU (ISO/IEC 7816-4 section 5.1). */
export interface CommandApdu {
  readonly cla: number;
  readonly ins: number;
  readonly p1: number;
  readonly p2: number;
  /** Command data, up to 65,535 bytes; absent or empty for cases 1 and 2. */
  readonly data?: Uint8Array;
  /** Ne, most response bytes: 1 to 65,536 (256 and 65,536 mean all of them); absent for cases 1 and 3. */
  readonly ne?: number;
  /** Whether the card may take minutes, as for key generation: the command gets a longer time limit. Default: false. */
  readonly long?: boolean;
  /**
   * What of the exchange is secret, for traces and recordings. Absent: a table decides for the commands of ISO/IEC 7816, and conceals
   * what carries PINs, keys and plaintexts there; a command of a proprietary class, or one that the table does not know, is concealed with its
   * answer. A profile declares it for each command that is not of that standard, and for each that carries a secret.
   */
  readonly conceal?: Concealment;
}

/** Length fields of one byte, or of three and two (ISO/IEC 7816-3 section 12.1.3). */
export type LengthForm = "short" | "extended";

/** Longest command data and largest Ne of each form. */
export const APDU_LIMITS = {
  short: { data: 255, ne: 256 },
  extended: { data: 65_535, ne: 65_536 },
} as const;

/** Yubico's PIV application: MOVE KEY, GET METADATA, GET SERIAL NUMBER, ATTEST, SET PIN RETRIES, RESET, GET VERSION. */
export const YUBICO_INSTRUCTIONS: ReadonlySet<number | undefined> = new Set([0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfd]);

/**
 * What of a driver's command is secret: what its builder declares. Where it declares nothing, the tables of `secrets.ts` judge the commands
 * of ISO/IEC 7816; any other command has a meaning of its own on each make of card, and is concealed with its answer.
 * @returns Undefined for what the tables judge.
 */
export function commandConcealment({ cla, ins, conceal }: CommandApdu): Concealment | undefined {
  if (conceal !== undefined) return conceal;
  return cla >= 0x80 || YUBICO_INSTRUCTIONS.has(ins) ? "both" : undefined;
}

/**
 * Encodes `command` in the given form into a buffer of its own, which may hold a secret. An extended command without
 * length fields equals a short one.
 * @throws {DataError} for a header byte out of range, or data or Ne beyond the form's limits.
 */
export function encodeCommand(command: CommandApdu, form: LengthForm = "short"): Uint8Array {
  const { cla, ins, p1, p2, ne } = command;
  const data = command.data ?? new Uint8Array();
  const limits = APDU_LIMITS[form];
  for (const octet of [cla, ins, p1, p2]) {
    if (Number.isInteger(octet) && octet >= 0 && octet <= 0xff) continue;
    throw new DataError("command APDU: CLA, INS, P1 and P2 are one byte each");
  }
  if (data.length > limits.data) {
    throw new DataError(`command APDU: ${data.length} data bytes; the limit in ${form} form is ${limits.data}`);
  }
  if (ne !== undefined && !(Number.isInteger(ne) && ne >= 1 && ne <= limits.ne)) {
    throw new DataError(`command APDU: Ne ${ne}, 1 to ${limits.ne} in a ${form} command`);
  }
  const isShort = form === "short";
  const { length } = data;
  const lc = length === 0 ? [] : isShort ? [length] : [0, length >> 8, length & 0xff];
  // The first length field of an extended command has three bytes, a second one two.
  const first = length === 0 && !isShort ? [0] : [];
  const le = ne === undefined ? [] : isShort ? [ne & 0xff] : [...first, (ne >> 8) & 0xff, ne & 0xff];
  return concatSecret(Uint8Array.of(cla, ins, p1, p2, ...lc), data, Uint8Array.from(le));
}

/**
 * Parses a command APDU of any of the four cases, short or extended (ISO/IEC 7816-3 section 12.1).
 * @throws {DataError} if the lengths do not match.
 */
export function decodeCommand(bytes: Uint8Array): CommandApdu & { readonly form: LengthForm } {
  const [cla, ins, p1, p2, b5] = bytes;
  if (cla === undefined || ins === undefined || p1 === undefined || p2 === undefined) {
    throw new DataError(`command APDU: ${bytes.length} bytes; the minimum is 4`);
  }
  const header = { cla, ins, p1, p2 };
  const body = bytes.subarray(4);
  if (b5 === undefined) return { ...header, form: "short" };
  if (body.length === 1) return { ...header, ne: b5 || 256, form: "short" };
  if (b5 !== 0) return { ...header, ...decodeShort(body, b5), form: "short" };
  return { ...header, ...decodeExtended(body), form: "extended" };
}

function decodeShort(body: Uint8Array, lc: number): Pick<CommandApdu, "data" | "ne"> {
  const data = body.subarray(1, 1 + lc);
  if (body.length === 1 + lc) return { data };
  if (body.length === 2 + lc) return { data, ne: (body.at(-1) ?? 0) || 256 };
  throw new DataError(`command APDU: Lc ${lc}, but ${body.length - 1} bytes follow`);
}

function decodeExtended(body: Uint8Array): Pick<CommandApdu, "data" | "ne"> {
  const [, high, low] = body;
  if (high === undefined || low === undefined) throw new DataError("command APDU: extended length field cut off");
  const field = (high << 8) | low;
  if (body.length === 3) return { ne: field || 65_536 };
  const data = body.subarray(3, 3 + field);
  if (field !== 0 && body.length === 3 + field) return { data };
  if (field !== 0 && body.length === 5 + field) {
    const le = ((body.at(-2) ?? 0) << 8) | (body.at(-1) ?? 0);
    return { data, ne: le || 65_536 };
  }
  throw new DataError(`command APDU: extended Lc ${field}, but ${body.length - 3} bytes follow`);
}

/** A response APDU: data and the status word SW1-SW2 (ISO/IEC 7816-4 section 5.1). */
export interface ResponseApdu {
  readonly data: Uint8Array;
  /** SW1 in the high byte, SW2 in the low one. */
  readonly sw: number;
}

/**
 * Splits a card's answer into data and status word.
 * @throws {DataError} if it is shorter than the status word or longer than 65,538 bytes.
 */
export function decodeResponse(bytes: Uint8Array): ResponseApdu {
  const sw1 = bytes.at(-2);
  const sw2 = bytes.at(-1);
  if (sw1 === undefined || sw2 === undefined)
    throw new DataError(`response APDU: ${bytes.length} bytes; the minimum is 2`);
  if (bytes.length > 65_538) throw new DataError(`response APDU: ${bytes.length} bytes; the limit is 65538`);
  return { data: bytes.subarray(0, -2), sw: (sw1 << 8) | sw2 };
}

/** Encodes a response APDU. */
export function encodeResponse({ data, sw }: ResponseApdu): Uint8Array {
  const bytes = new Uint8Array(data.length + 2);
  bytes.set(data);
  bytes[data.length] = sw >> 8;
  bytes[data.length + 1] = sw & 0xff;
  return bytes;
}
