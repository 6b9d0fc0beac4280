import { DataError } from "../../bytes/index.ts";
import { type CommandApdu, decodeCommand } from "../command.ts";
import { type ClassByte, classDetails, readClassByte } from "./class-byte.ts";
import { GLOBALPLATFORM } from "./globalplatform.ts";
import { bytesLong, type ExplainedCommand, hex, type Instruction } from "./instruction.ts";
import { ISO_7816_4 } from "./iso-7816-4.ts";
import { ISO_7816_8 } from "./iso-7816-8.ts";
import { ISO_7816_9 } from "./iso-7816-9.ts";
import { GSC_IS, READER_COMMANDS, SMARTCARD_HSM_COMMANDS } from "./other-commands.ts";
import { PIV_COMMANDS } from "./piv.ts";

export interface CommandExplanation {
  /** "VERIFY"; "INS 5A" for an instruction that no table knows. */
  readonly name: string;
  /** Standard and section that define it; empty for an unknown instruction. */
  readonly standard: string;
  /** Parameters and data in words, without a byte of data that may be secret. */
  readonly details: readonly string[];
  /** Further parts of the command follow. */
  readonly chained: boolean;
}

/** The tables of each kind of class byte; the first row that fits explains, so the narrower standard comes first. */
const TABLES: Readonly<Record<ClassByte["kind"], readonly Instruction[]>> = {
  interindustry: [...PIV_COMMANDS, ...ISO_7816_8, ...ISO_7816_4, ...ISO_7816_9],
  proprietary: [...GLOBALPLATFORM, ...SMARTCARD_HSM_COMMANDS, ...GSC_IS, ...ISO_7816_4],
  reader: READER_COMMANDS,
  reserved: [],
};

/**
 * What a command APDU asks of the card, in words. Which application is selected is not known here: instructions that PIV
 * and Yubico define are taken for theirs. Explains anything, also bytes that are no command.
 */
export function explainCommand(command: Uint8Array | CommandApdu): CommandExplanation {
  if (!(command instanceof Uint8Array)) return explain(command);
  try {
    return explain(decodeCommand(command));
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return explainBroken(command);
  }
}

function explain(apdu: CommandApdu): CommandExplanation {
  const command: ExplainedCommand = { ...apdu, data: apdu.data ?? new Uint8Array() };
  const classByte = readClassByte(command.cla);
  const row = TABLES[classByte.kind].find(({ ins, when }) => ins === command.ins && (when?.(command) ?? true));
  return {
    name: row?.name ?? `INS ${hex(command.ins)}`,
    standard: row?.standard ?? "",
    // What secure messaging wraps is not what the tables describe.
    details: [
      ...classDetails(classByte),
      ...(classByte.secureMessaging === undefined ? (row?.details?.(command) ?? []) : []),
    ],
    chained: classByte.chained,
  };
}

/** The header tells what was meant. */
function explainBroken(bytes: Uint8Array): CommandExplanation {
  const [cla, ins, p1, p2] = bytes;
  if (cla === undefined || ins === undefined || p1 === undefined || p2 === undefined) {
    return { name: "no command", standard: "", details: [`${bytesLong(bytes.length)}, 4 at least`], chained: false };
  }
  const { name, standard, chained } = explain({ cla, ins, p1, p2 });
  return { name, standard, details: ["its lengths do not add up"], chained };
}

/** An explanation in one line: "VERIFY: reference 80: local 0 (PIV: application PIN), data concealed". */
export function commandText({ name, details, chained }: CommandExplanation): string {
  const parts = [...details, ...(chained ? ["more parts follow"] : [])];
  return parts.length === 0 ? name : `${name}: ${parts.join(", ")}`;
}
