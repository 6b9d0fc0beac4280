import { findTlv, readTlvs, type Tlv } from "../../apdu/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import { accessModes, securityCondition } from "./access-modes.ts";

/** Access mode data objects (ISO/IEC 7816-4 section 9.3.3.3, table 22): a byte of modes, or 81 to 8F, parts of a command's header. */
const MODE_BYTE = 0x80;
const COMMAND = { first: 0x81, last: 0x8f } as const;
const OWN_MODE = 0x9c;
/** Which parts stand in a data object of a command: bits of its tag. */
const HEADER = [
  [0x08, "CLA"],
  [0x04, "INS"],
  [0x02, "P1"],
  [0x01, "P2"],
] as const;

/** Security condition data objects (table 23). */
const CONDITION = {
  ALWAYS: 0x90,
  NEVER: 0x97,
  BYTE: 0x9e,
  AUTHENTICATION: 0xa4,
  OR: 0xa0,
  NOT: 0xa7,
  AND: 0xaf,
} as const;
const SECURE_MESSAGING: ReadonlySet<number> = new Set([0xb4, 0xb6, 0xb8]);
/** Fields of a control reference template: which key or PIN, and whether it is one that the user knows or has. */
const REFERENCE = 0x83;
const SYMMETRIC_REFERENCE = 0x84;
const USAGE = 0x95;
const BY_USER = 0x18;
/** Conditions of conditions. */
const MAX_DEPTH = 4;

/**
 * Access rules in expanded format, as AB and a record of EF.ARR hold them, in words: "read: always", "update: user (PIN 81)".
 * @returns Undefined if they are none.
 */
export function expandedRules(value: Uint8Array, isDirectory: boolean): readonly string[] | undefined {
  try {
    return read(readTlvs(value, "access rules"), isDirectory);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Modes, and the conditions behind them, one of which is enough. */
function read(fields: readonly Tlv[], isDirectory: boolean): readonly string[] {
  const rules: string[] = [];
  let modes: readonly string[] = [];
  let conditions: string[] = [];
  const flush = (): void => {
    const words = conditions.join(" or ") || "no condition told";
    rules.push(...modes.map((mode) => `${mode}: ${words}`));
    conditions = [];
  };
  for (const field of fields) {
    const next = modesOf(field, isDirectory);
    if (!next) {
      conditions.push(conditionOf(field, 0));
      continue;
    }
    flush();
    modes = next;
  }
  flush();
  return rules;
}

function modesOf({ tag, value }: Tlv, isDirectory: boolean): readonly string[] | undefined {
  if (tag === MODE_BYTE) return accessModes(value[0] ?? 0x80, isDirectory) ?? [`mode ${hex(value)}`];
  if (tag === OWN_MODE) return [`mode ${hex(value)}`];
  if (tag < COMMAND.first || tag > COMMAND.last) return undefined;
  const parts = HEADER.flatMap(([bit, name]) => ((tag & bit) === 0 ? [] : [name]));
  // Several commands may stand in one.
  const commands: string[] = [];
  for (let at = 0; at < value.length; at += parts.length) {
    const octets = value.subarray(at, at + parts.length);
    commands.push(
      `command ${parts.map((name, index) => `${name} ${hex(octets.subarray(index, index + 1))}`).join(" ")}`,
    );
  }
  return commands;
}

function conditionOf({ tag, value }: Tlv, depth: number): string {
  if (depth > MAX_DEPTH) throw new DataError("access rules: conditions within conditions");
  const inner = (): string[] => readTlvs(value, "access rules").map((one) => conditionOf(one, depth + 1));
  switch (tag) {
    case CONDITION.ALWAYS:
      return "always";
    case CONDITION.NEVER:
      return "never";
    case CONDITION.BYTE:
      return securityCondition(value[0] ?? 0xff);
    case CONDITION.AUTHENTICATION:
      return authentication(value);
    case CONDITION.OR:
      return `(${inner().join(" or ")})`;
    case CONDITION.AND:
      return `(${inner().join(" and ")})`;
    case CONDITION.NOT:
      return `not (${inner().join(" or ")})`;
    default:
      return SECURE_MESSAGING.has(tag)
        ? "secure messaging"
        : `condition ${tag.toString(16).toUpperCase()} ${hex(value)}`;
  }
}

function authentication(template: Uint8Array): string {
  const fields = readTlvs(template, "access rules");
  const reference = findTlv(fields, REFERENCE) ?? findTlv(fields, SYMMETRIC_REFERENCE);
  // Left out, it is the user's: that is what files are guarded by most.
  const usage = findTlv(fields, USAGE)?.[0] ?? BY_USER;
  const [who, what] = (usage & BY_USER) !== 0 ? ["user", "PIN"] : ["external authentication", "key"];
  return reference ? `${who} (${what} ${hex(reference)})` : who;
}

const hex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();
