import { CardError, findTlv, readTlvs, type Tlv } from "../../apdu/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import type { FileControl } from "../files/commands.ts";
import { readRecords } from "../files/files.ts";
import { childOf, type FilePath, masterFilePath, parentOf, pathName } from "../files/paths.ts";
import type { Pkcs15Session } from "../files/session.ts";

/**
 * Bits of the access mode byte, the highest first: their meaning for EFs and for DFs (ISO/IEC 7816-4 tables 17 and 18).
 */
const EF_MODES = ["delete", "terminate", "activate", "deactivate", "write", "update", "read"] as const;
const DF_MODES = ["delete", "terminate", "activate", "deactivate", "create DF", "create EF", "delete child"] as const;

/** With the highest bit set, bits 4 to 7 are proprietary. */
const OWN = 0x80;

/** Bits of the security condition byte (table 20). */
const CONDITION = { ALL: 0x80, SECURE_MESSAGING: 0x40, EXTERNAL: 0x20, USER: 0x10, ENVIRONMENT: 0x0f } as const;

/** The modes of an access mode byte, the highest bit first; undefined for proprietary modes. */
function accessModes(mode: number, isDirectory: boolean): readonly string[] | undefined {
  if ((mode & OWN) !== 0) return undefined;
  return (isDirectory ? DF_MODES : EF_MODES).filter((_, index) => (mode & (0x40 >> index)) !== 0);
}

/** Describes a security condition byte. */
function securityCondition(byte: number): string {
  if (byte === 0x00) return "always";
  if (byte === 0xff) return "never";
  const parts = [
    ...((byte & CONDITION.USER) !== 0 ? ["user"] : []),
    ...((byte & CONDITION.EXTERNAL) !== 0 ? ["external authentication"] : []),
    ...((byte & CONDITION.SECURE_MESSAGING) !== 0 ? ["secure messaging"] : []),
  ];
  const environment = byte & CONDITION.ENVIRONMENT;
  const words = parts.join((byte & CONDITION.ALL) !== 0 ? " and " : " or ") || "a proprietary condition";
  return environment === 0 ? words : `${words} (environment ${environment})`;
}

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
const RULE = {
  ALWAYS: 0x90,
  NEVER: 0x97,
  BYTE: 0x9e,
  AUTHENTICATION: 0xa4,
  OR: 0xa0,
  NOT: 0xa7,
  AND: 0xaf,
} as const;
const SECURE_MESSAGING: ReadonlySet<number> = new Set([0xb4, 0xb6, 0xb8]);
/** Fields of a control reference template: the key or PIN, and whether the user knows or owns it. */
const REFERENCE = 0x83;
const SYMMETRIC_REFERENCE = 0x84;
const USAGE = 0x95;
const BY_USER = 0x18;
/** Nested conditions. */
const MAX_DEPTH = 4;

/**
 * Describes access rules in expanded format, from AB or a record of EF.ARR: "read: always", "update: user (PIN 81)".
 * @returns Undefined if they are malformed.
 */
function expandedRules(value: Uint8Array, isDirectory: boolean): readonly string[] | undefined {
  try {
    return read(readTlvs(value, "access rules"), isDirectory);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** Modes and their conditions, one of which is sufficient. */
function read(fields: readonly Tlv[], isDirectory: boolean): readonly string[] {
  const rules: string[] = [];
  let modes: readonly string[] = [];
  let conditions: string[] = [];
  const flush = (): void => {
    const words = conditions.join(" or ") || "no condition given";
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
  if (tag === MODE_BYTE) return accessModes(value[0] ?? 0x80, isDirectory) ?? [`mode ${joinedHex(value)}`];
  if (tag === OWN_MODE) return [`mode ${joinedHex(value)}`];
  if (tag < COMMAND.first || tag > COMMAND.last) return undefined;
  const parts = HEADER.flatMap(([bit, name]) => ((tag & bit) === 0 ? [] : [name]));
  // Several commands may stand in one.
  const commands: string[] = [];
  for (let at = 0; at < value.length; at += parts.length) {
    const octets = value.subarray(at, at + parts.length);
    commands.push(
      `command ${parts.map((name, index) => `${name} ${joinedHex(octets.subarray(index, index + 1))}`).join(" ")}`,
    );
  }
  return commands;
}

function conditionOf({ tag, value }: Tlv, depth: number): string {
  if (depth > MAX_DEPTH) throw new DataError("access rules: conditions within conditions");
  const inner = (): string[] => readTlvs(value, "access rules").map((one) => conditionOf(one, depth + 1));
  switch (tag) {
    case RULE.ALWAYS:
      return "always";
    case RULE.NEVER:
      return "never";
    case RULE.BYTE:
      return securityCondition(value[0] ?? 0xff);
    case RULE.AUTHENTICATION:
      return authentication(value);
    case RULE.OR:
      return `(${inner().join(" or ")})`;
    case RULE.AND:
      return `(${inner().join(" and ")})`;
    case RULE.NOT:
      return `not (${inner().join(" or ")})`;
    default:
      return SECURE_MESSAGING.has(tag)
        ? "secure messaging"
        : `condition ${tag.toString(16).toUpperCase()} ${joinedHex(value)}`;
  }
}

function authentication(template: Uint8Array): string {
  const fields = readTlvs(template, "access rules");
  const reference = findTlv(fields, REFERENCE) ?? findTlv(fields, SYMMETRIC_REFERENCE);
  // Default: the user's, which protects most files.
  const usage = findTlv(fields, USAGE)?.[0] ?? BY_USER;
  const [who, what] = (usage & BY_USER) !== 0 ? ["user", "PIN"] : ["external authentication", "key"];
  return reference ? `${who} (${what} ${joinedHex(reference)})` : who;
}

const joinedHex = (bytes: Uint8Array): string => toHex(bytes).toUpperCase();

const COMPACT = 0x8c;
const EXPANDED = 0xab;
const REFERENCED = 0x8b;

/** Access rules that stand in a record of another file, EF.ARR. */
interface RuleReference {
  /** Of EF.ARR; undefined for the card's usual one. */
  readonly file: Uint8Array | undefined;
  /** From 1. */
  readonly record: number;
}

/**
 * Describes access rules: "read: always", "update: user (environment 1)". Rules in a proprietary coding are shown as
 * bytes.
 * @param isDirectory Whether the rules belong to a DF.
 * @param referenced Contents of records of EF.ARR, as far as they could be read.
 */
export function accessRules(
  security: FileControl["security"],
  isDirectory: boolean,
  referenced: (reference: RuleReference) => Uint8Array | undefined = (): undefined => undefined,
): readonly string[] {
  return security.flatMap(({ tag, value }) => {
    const reference = tag === REFERENCED ? ruleReference(value) : undefined;
    if (reference) return byReference(reference, referenced(reference), isDirectory);
    const rules =
      tag === COMPACT
        ? readCompact(value, isDirectory)
        : tag === EXPANDED
          ? expandedRules(value, isDirectory)
          : undefined;
    return rules ?? [`${hex(Uint8Array.of(tag))} ${hex(value)}`];
  });
}

/** The records of EF.ARR that the rules of a file refer to. */
function ruleReferences(security: FileControl["security"]): readonly RuleReference[] {
  return security.flatMap(({ tag, value }) => {
    const reference = tag === REFERENCED ? ruleReference(value) : undefined;
    return reference ? [reference] : [];
  });
}

/**
 * A record number; a file identifier before it; or one with pairs of security environment and record, of which the
 * first counts.
 */
function ruleReference(value: Uint8Array): RuleReference | undefined {
  const [first = 0, , third = 0, fourth = 0] = value;
  const file = value.subarray(0, 2);
  if (value.length === 1) return { file: undefined, record: first };
  if (value.length === 3) return { file, record: third };
  return value.length >= 4 && value.length % 2 === 0 ? { file, record: fourth } : undefined;
}

function byReference(
  { file, record }: RuleReference,
  contents: Uint8Array | undefined,
  isDirectory: boolean,
): readonly string[] {
  const rules = contents && expandedRules(contents, isDirectory);
  return rules ?? [`according to record ${record} of EF.ARR${file ? ` ${toHex(file).toUpperCase()}` : ""}`];
}

/** An access mode byte, and a condition for each of its bits; undefined if their numbers differ. */
function readCompact(value: Uint8Array, isDirectory: boolean): readonly string[] | undefined {
  const [mode = 0x80, ...conditions] = value;
  const modes = accessModes(mode, isDirectory);
  if (modes?.length !== conditions.length) return undefined;
  return modes.map((name, index) => `${name}: ${securityCondition(conditions[index] ?? 0xff)}`);
}

const hex = (bytes: Uint8Array): string => toHex(bytes, " ").toUpperCase();

/** EF.ARR of the whole card, by its usual identifier. */
const USUAL = masterFilePath(0x2f06);

/** The files of access rules that others refer to (ISO/IEC 7816-4 section 9.3.3.4): each record is read once. */
export class RuleFiles {
  readonly #session: Pkcs15Session;
  readonly #records = new Map<string, Promise<Uint8Array | undefined>>();

  constructor(session: Pkcs15Session) {
    this.#session = session;
  }

  /**
   * Reads the records that the rules of a file refer to.
   * @returns A function for {@link accessRules} that returns their contents; undefined for unreadable ones.
   */
  async of(
    place: FilePath,
    security: FileControl["security"],
  ): Promise<(reference: RuleReference) => Uint8Array | undefined> {
    const found = new Map<string, Uint8Array>();
    for (const reference of ruleReferences(security)) {
      const record = await this.#find(place, reference);
      if (record) found.set(keyOf(reference), record);
    }
    return (reference) => found.get(keyOf(reference));
  }

  /** In the DF of the file, or in those above it. */
  async #find(place: FilePath, { file, record }: RuleReference): Promise<Uint8Array | undefined> {
    if (!file) return this.#record(USUAL, record);
    for (let df = place; df.path.length > 0;) {
      df = parentOf(df);
      const found = await this.#record(childOf(df, file), record);
      if (found) return found;
    }
    return undefined;
  }

  #record(place: FilePath, record: number): Promise<Uint8Array | undefined> {
    const key = `${pathName(place)} ${record}`;
    const known = this.#records.get(key) ?? this.#read(place, record);
    this.#records.set(key, known);
    return known;
  }

  async #read(place: FilePath, record: number): Promise<Uint8Array | undefined> {
    try {
      const records = await this.#session.read(async (turn) =>
        readRecords(turn, place, await turn.select(place), record),
      );
      return records[0];
    } catch (error) {
      if (!(error instanceof CardError || error instanceof DataError)) throw error;
      return undefined;
    }
  }
}

const keyOf = ({ file = new Uint8Array(), record }: RuleReference): string => `${file.join(" ")} ${record}`;
