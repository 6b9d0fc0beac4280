import { DataError, toHex } from "../../bytes/index.ts";
import { decodeCommand } from "../command.ts";
import { decodeResponse } from "../response.ts";
import { isAnswerSecret } from "../secrets.ts";
import { explainStatus, type StatusExplanation } from "../status.ts";
import { readTlvs } from "../tlv.ts";
import { bytesLong, hex } from "./instruction.ts";
import { type TagName, tagNamesFor, type TagNames } from "./tag-names.ts";
import { outline, type TlvNode } from "./tlv-outline.ts";

export interface ResponseExplanation {
  /** Undefined for an answer without a status word. */
  readonly status: StatusExplanation | undefined;
  /** The answer's data objects, one a line, indented by two spaces for each level; nothing that may be secret. */
  readonly details: readonly string[];
}

const MAX_DEPTH = 8;
const MAX_LINES = 200;
const MAX_SHOWN = 32;

/**
 * What the answer to `command` says, in words. An answer that may hold a secret, or whose kind is not known because GET
 * RESPONSE collected it, is measured only. Explains anything, also bytes that are no answer.
 */
export function explainResponse(command: Uint8Array, answer: Uint8Array): ResponseExplanation {
  if (answer.length < 2) return { status: undefined, details: [`${bytesLong(answer.length)}, 2 at least`] };
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

/** Adds a line for each data object; false if `bytes` are no BER-TLV, whole or cut off at the end. */
function describeNodes(bytes: Uint8Array, names: TagNames, depth: number, lines: string[]): boolean {
  const nodes = outline(bytes);
  const known = nodes.some(({ tag }) => names.has(tag));
  // Where no tag is expected, bytes that only begin like BER-TLV are something else.
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

/** Text if it is such, digits otherwise; the beginning of what is long. */
function show(value: Uint8Array): string {
  const shown = value.subarray(0, MAX_SHOWN);
  const more = value.length > MAX_SHOWN ? "..." : "";
  const printable = shown.length > 2 && shown.every((byte) => byte >= 0x20 && byte < 0x7f);
  return (printable ? `"${String.fromCharCode(...shown)}"` : toHex(shown).toUpperCase()) + more;
}
