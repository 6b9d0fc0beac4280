import { describePath } from "./applications.ts";
import { bytesLong, type ExplainedCommand, type Instruction } from "./instruction.ts";

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
  [0xfe, "TERMINATE CARD USAGE", () => ["for good"]],
];

/** Commands for card and file management (ISO/IEC 7816-9). */
export const ISO_7816_9: readonly Instruction[] = ROWS.map(([ins, name, details]) => ({
  ins,
  name,
  standard: "ISO/IEC 7816-9",
  ...(details && { details }),
}));
