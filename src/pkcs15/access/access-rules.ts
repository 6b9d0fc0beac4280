import { toHex } from "../../bytes/index.ts";
import { accessModes, securityCondition } from "./access-modes.ts";
import { expandedRules } from "./expanded-access.ts";
import type { FileControl } from "../files/file-control.ts";

const COMPACT = 0x8c;
const EXPANDED = 0xab;
const REFERENCED = 0x8b;

/** Access rules that stand in a record of another file, EF.ARR. */
export interface RuleReference {
  /** Of EF.ARR; undefined where the card's usual one is meant. */
  readonly file: Uint8Array | undefined;
  /** From 1. */
  readonly record: number;
}

/**
 * Access rules in words: "read: always", "update: user (environment 1)". Rules in a coding of the card's own are shown as they are.
 * @param isDirectory The rules are those of a DF.
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
export function ruleReferences(security: FileControl["security"]): readonly RuleReference[] {
  return security.flatMap(({ tag, value }) => {
    const reference = tag === REFERENCED ? ruleReference(value) : undefined;
    return reference ? [reference] : [];
  });
}

/** A record number; a file identifier before it; or one with pairs of security environment and record, of which the first counts. */
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
  return rules ?? [`as record ${record} of EF.ARR${file ? ` ${toHex(file).toUpperCase()}` : ""} says`];
}

/** An access mode byte, and a condition for each of its bits; undefined if the bytes do not fit together. */
function readCompact(value: Uint8Array, isDirectory: boolean): readonly string[] | undefined {
  const [mode = 0x80, ...conditions] = value;
  const modes = accessModes(mode, isDirectory);
  if (modes?.length !== conditions.length) return undefined;
  return modes.map((name, index) => `${name}: ${securityCondition(conditions[index] ?? 0xff)}`);
}

const hex = (bytes: Uint8Array): string => toHex(bytes, " ").toUpperCase();
