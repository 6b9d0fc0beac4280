import type { CommandApdu } from "../command.ts";

/** A command to explain; without data it has none of length 0. */
export interface ExplainedCommand extends CommandApdu {
  readonly data: Uint8Array;
}

/** A row of a standard's table: an instruction, and what its parameters and data mean. */
export interface Instruction {
  readonly ins: number;
  readonly name: string;
  /** Standard and section. */
  readonly standard: string;
  /** Where one instruction byte has several meanings: whether this row is the one. */
  readonly when?: (command: ExplainedCommand) => boolean;
  /** Never a byte of data that may be secret. */
  readonly details?: (command: ExplainedCommand) => readonly string[];
}

/** Capital hexadecimal digits, two at least. */
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
