import { ByteReader, DataError } from "../../bytes/index.ts";
import type { CommandApdu } from "../command.ts";
import { readTlvHeader } from "../tlv.ts";

/** A command to explain; absent data is empty data. */
export interface ExplainedCommand extends CommandApdu {
  readonly data: Uint8Array;
}

/** A row of a standard's table: an instruction, and the meaning of its parameters and data. */
export interface Instruction {
  readonly ins: number;
  readonly name: string;
  /** Standard and section. */
  readonly standard: string;
  /** If an instruction byte has several meanings: whether this row applies. */
  readonly when?: (command: ExplainedCommand) => boolean;
  /** Never shows data that may be secret. */
  readonly details?: (command: ExplainedCommand) => readonly string[];
}

/** Uppercase hexadecimal digits, at least two. */
export function hex(value: number, digits = 2): string {
  return value.toString(16).toUpperCase().padStart(digits, "0");
}

/** "1 byte", "8 bytes". */
export function bytesLong(length: number): string {
  return `${length} byte${length === 1 ? "" : "s"}`;
}

/** P1 and P2 as one number. */
export function p1p2({ p1, p2 }: CommandApdu): number {
  return (p1 << 8) | p2;
}

/** A parsed class byte (ISO/IEC 7816-4 section 5.4.1; GlobalPlatform 2.3 section 11.1.4). */
export interface ClassByte {
  readonly kind: "interindustry" | "proprietary" | "reader" | "reserved";
  /** Further parts of the command follow. */
  readonly chained: boolean;
  readonly secureMessaging?: string;
  /** Logical channel; 0 is the basic one. */
  readonly channel: number;
}

const SECURE_MESSAGING = [
  undefined,
  "proprietary secure messaging",
  "secure messaging, header not authenticated",
  "secure messaging, header authenticated",
] as const;

/** Parses a class byte. */
export function readClassByte(cla: number): ClassByte {
  // PC/SC part 3 section 3.2.2.1: such a command is for the reader; the card does not receive it.
  if (cla === 0xff) return { kind: "reader", chained: false, channel: 0 };
  if (cla >= 0xe0 || (cla >= 0x90 && cla < 0xc0)) return { kind: "proprietary", chained: false, channel: 0 };
  if (cla >= 0x20 && cla < 0x40) return { kind: "reserved", chained: false, channel: 0 };
  const kind = cla < 0x80 ? "interindustry" : "proprietary";
  const chained = kind === "interindustry" && (cla & 0x10) !== 0;
  return { kind, chained, ...((cla & 0x40) === 0 ? firstForm(cla) : furtherForm(cla)) };
}

function firstForm(cla: number): Pick<ClassByte, "channel" | "secureMessaging"> {
  const secureMessaging = SECURE_MESSAGING[(cla >> 2) & 0b11];
  return { channel: cla & 0b11, ...(secureMessaging !== undefined && { secureMessaging }) };
}

/** Logical channels 4 to 19. */
function furtherForm(cla: number): Pick<ClassByte, "channel" | "secureMessaging"> {
  const secured = (cla & 0x20) !== 0;
  return { channel: 4 + (cla & 0x0f), ...(secured && { secureMessaging: SECURE_MESSAGING[2] }) };
}

/** Describes the unusual parts of a class byte. */
export function classDetails({ kind, secureMessaging, channel }: ClassByte): string[] {
  return [
    ...(kind === "reserved" ? ["class byte reserved"] : []),
    ...(channel === 0 ? [] : [`logical channel ${channel}`]),
    ...(secureMessaging === undefined ? [] : [secureMessaging]),
  ];
}

/** A data object that may be cut off. */
export interface TlvNode {
  readonly tag: number;
  /** The length field's value, whether or not the value is complete. */
  readonly length: number;
  readonly value: Uint8Array;
}

/**
 * The data objects of `bytes`, the last one perhaps cut off, as in a chained command or the first part of an answer.
 * Skips padding of 00 and FF. Stops silently at bytes that are not BER-TLV.
 */
export function outline(bytes: Uint8Array): TlvNode[] {
  const reader = new ByteReader(bytes);
  const nodes: TlvNode[] = [];
  try {
    for (let first = reader.peek(); first !== undefined; first = reader.peek()) {
      if (first === 0x00 || first === 0xff) reader.u8();
      else nodes.push(readNode(reader));
    }
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
  }
  return nodes;
}

function readNode(reader: ByteReader): TlvNode {
  const { tag, length } = readTlvHeader(reader);
  return { tag, length, value: reader.take(Math.min(length, reader.remaining)) };
}
