import { DataError, toHex } from "../../bytes/index.ts";
import { type CommandApdu, decodeCommand, decodeResponse } from "../command.ts";
import { isAnswerSecret } from "../secrets.ts";
import { explainStatus, type StatusExplanation } from "../status.ts";
import { readTlvs } from "../tlv.ts";
import {
  bytesLong,
  type ClassByte,
  classDetails,
  type ExplainedCommand,
  hex,
  type Instruction,
  outline,
  readClassByte,
  type TlvNode,
} from "./instruction.ts";
import { ISO_7816_4 } from "./iso-7816-4.ts";
import { ISO_7816_8, ISO_7816_9 } from "./iso-7816-8.ts";
import { GLOBALPLATFORM, GSC_IS, READER_COMMANDS, SMARTCARD_HSM_COMMANDS } from "./other-commands.ts";
import { PIV_COMMANDS } from "./piv.ts";
import { type TagName, type TagNames, tagNamesFor } from "./tag-names.ts";

export interface CommandExplanation {
  /** "VERIFY"; "INS 5A" for an unknown instruction. */
  readonly name: string;
  /** Standard and section that define it; empty for an unknown instruction. */
  readonly standard: string;
  /** Parameters and data as text, without secret data. */
  readonly details: readonly string[];
  /** Further parts of the command follow. */
  readonly chained: boolean;
}

/** The tables of each kind of class byte; the first matching row explains, so the narrower standard comes first. */
const TABLES: Readonly<Record<ClassByte["kind"], readonly Instruction[]>> = {
  interindustry: [...PIV_COMMANDS, ...ISO_7816_8, ...ISO_7816_4, ...ISO_7816_9],
  proprietary: [...GLOBALPLATFORM, ...SMARTCARD_HSM_COMMANDS, ...GSC_IS, ...ISO_7816_4],
  reader: READER_COMMANDS,
  reserved: [],
};

/** A command by its name, with the class byte that its standard uses. */
export interface NamedCommand {
  readonly name: string;
  readonly cla: number;
  readonly ins: number;
  readonly standard: string;
}

/** The class byte of each kind, without chaining, secure messaging or a logical channel. */
const CLASSES: Readonly<Record<ClassByte["kind"], number>> = {
  interindustry: 0x00,
  proprietary: 0x80,
  reader: 0xff,
  reserved: 0x00,
};

/** Every command that {@link explainCommand} knows, in the order of its tables; some names stand for several. */
export function namedCommands(): NamedCommand[] {
  const kinds = Object.keys(TABLES) as ClassByte["kind"][];
  return kinds.flatMap((kind) =>
    TABLES[kind].map(({ name, ins, standard }) => ({ name, cla: CLASSES[kind], ins, standard })),
  );
}

/**
 * Explains a command APDU. The selected application is unknown here: instructions of PIV and Yubico are explained as
 * theirs. Accepts any bytes, also malformed commands.
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
    // The tables do not describe data under secure messaging.
    details: [
      ...classDetails(classByte),
      ...(classByte.secureMessaging === undefined ? (row?.details?.(command) ?? []) : []),
    ],
    chained: classByte.chained,
  };
}

/** The header shows the intention. */
function explainBroken(bytes: Uint8Array): CommandExplanation {
  const [cla, ins, p1, p2] = bytes;
  if (cla === undefined || ins === undefined || p1 === undefined || p2 === undefined) {
    return {
      name: "no command",
      standard: "",
      details: [`${bytesLong(bytes.length)}; the minimum is 4`],
      chained: false,
    };
  }
  const { name, standard, chained } = explain({ cla, ins, p1, p2 });
  return { name, standard, details: ["its lengths do not match"], chained };
}

/** An explanation in one line: "VERIFY: reference 80: local 0 (PIV: application PIN), data concealed". */
export function commandText({ name, details, chained }: CommandExplanation): string {
  const parts = [...details, ...(chained ? ["more parts follow"] : [])];
  return parts.length === 0 ? name : `${name}: ${parts.join(", ")}`;
}

export interface ResponseExplanation {
  /** Undefined for an answer without a status word. */
  readonly status: StatusExplanation | undefined;
  /** The answer's data objects, one a line, indented by two spaces for each level, without secrets. */
  readonly details: readonly string[];
}

const MAX_DEPTH = 8;
const MAX_LINES = 200;
const MAX_SHOWN = 32;

/**
 * Explains the answer to `command`. For an answer that may hold a secret, or whose kind is unknown because GET RESPONSE
 * collected it, only the length is given. Accepts any bytes.
 */
export function explainResponse(command: Uint8Array, answer: Uint8Array): ResponseExplanation {
  if (answer.length < 2) return { status: undefined, details: [`${bytesLong(answer.length)}; the minimum is 2`] };
  const { data, sw } = decodeResponse(answer.subarray(-65_538));
  return { status: explainStatus(sw), details: describeData(command, data) };
}

function describeData(command: Uint8Array, data: Uint8Array): string[] {
  if (data.length === 0) return [];
  if (isAnswerSecret(command, data)) return ["data concealed"];
  const lines: string[] = [];
  if (!describeNodes(data, namesFor(command), 0, lines)) return [`${bytesLong(data.length)}: ${show(data)}`];
  return lines;
}

function namesFor(command: Uint8Array): TagNames {
  try {
    return tagNamesFor(decodeCommand(command));
  } catch (error) {
    if (error instanceof DataError) return new Map();
    throw error;
  }
}

/** Adds a line for each data object; false if `bytes` are not BER-TLV, complete or cut off at the end. */
function describeNodes(bytes: Uint8Array, names: TagNames, depth: number, lines: string[]): boolean {
  const nodes = outline(bytes);
  const known = nodes.some(({ tag }) => names.has(tag));
  // If no tag is expected, bytes that only begin like BER-TLV are something else.
  if (nodes.length === 0 || (!known && !isWhole(bytes))) return false;
  for (const node of nodes) {
    if (lines.length >= MAX_LINES) break;
    describeNode(node, names, depth, lines);
  }
  return true;
}

function isWhole(bytes: Uint8Array): boolean {
  try {
    return readTlvs(bytes).length > 0;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

function describeNode(node: TlvNode, names: TagNames, depth: number, lines: string[]): void {
  const { tag, length, value } = node;
  const known = names.get(tag);
  const inside = known ? known.inside : isConstructed(tag) ? new Map<number, TagName>() : undefined;
  const cut = value.length < length ? `, ${value.length} here` : "";
  const head = `${"  ".repeat(depth)}${hex(tag)} ${known?.name ?? "unknown"}, ${bytesLong(length)}${cut}`;
  const line = lines.push(head) - 1;
  const described = inside && depth + 1 < MAX_DEPTH && describeNodes(value, inside, depth + 1, lines);
  if (!described && value.length > 0) lines[line] = `${head}: ${show(value)}`;
}

/** Bit 6 of the first tag byte (ISO/IEC 8825-1 section 8.1.2.5). */
function isConstructed(tag: number): boolean {
  let first = tag;
  while (first > 0xff) first = Math.floor(first / 256);
  return (first & 0x20) !== 0;
}

/** Printable text as text, other bytes as digits; long values are shortened. */
function show(value: Uint8Array): string {
  const shown = value.subarray(0, MAX_SHOWN);
  const more = value.length > MAX_SHOWN ? "..." : "";
  const printable = shown.length > 2 && shown.every((byte) => byte >= 0x20 && byte < 0x7f);
  return (printable ? `"${String.fromCharCode(...shown)}"` : toHex(shown).toUpperCase()) + more;
}
