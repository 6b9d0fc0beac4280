import { encodeTlv, findTlv, readTlvs, type Tlv } from "../../apdu/index.ts";
import { concat, DataError, equalBytes } from "../../bytes/index.ts";
import { UnsupportedError } from "../../card/index.ts";
import type { Pkcs15Application } from "../application.ts";
import type { CardSession } from "../files/card-session.ts";
import type { FileControl } from "../files/commands.ts";
import { type FilePath, ownFile } from "../files/paths.ts";
import type { PinEntry } from "../syntax/authentication.ts";

type Security = FileControl["security"];

const COMPACT = 0x8c;
const EXPANDED = 0xab;
/** Bits of the access mode byte of an EF (ISO/IEC 7816-4 table 17). */
const MODE = { OWN: 0x80, UPDATE: 0x02, READ: 0x01 } as const;
const MODE_BYTE = 0x80;
/** Data objects with which another expanded rule begins: modes by a byte, by parts of a command, proprietary. */
const isMode = (tag: number): boolean => (tag >= 0x80 && tag <= 0x8f) || tag === 0x9c;
const USER = 0x10;
const AUTHENTICATION = 0xa4;
const REFERENCE = 0x83;

/**
 * The rules of a public file, with reading restricted to the PIN that may update it: for a private file beside it.
 * @param reference The PIN's.
 * @param only Whether it is the card's only one, so that "user" means it.
 * @returns Undefined if the rules have another coding, or updating needs another PIN: then the right rules are unknown.
 */
export function privateRules(security: Security, reference: number, only: boolean): Security | undefined {
  const [rule, more] = security;
  if (!rule || more) return undefined;
  try {
    const value =
      rule.tag === COMPACT && only
        ? compact(rule.value)
        : rule.tag === EXPANDED && expanded(rule.value, reference, only);
    return value ? [{ tag: rule.tag, value }] : undefined;
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

/** A mode byte, and a condition for each of its bits, the highest first (section 9.3.3.2). */
function compact([mode = MODE.OWN, ...conditions]: Uint8Array): Uint8Array | undefined {
  const bits = [0x40, 0x20, 0x10, 0x08, 0x04, MODE.UPDATE, MODE.READ].filter((bit) => (mode & bit) !== 0);
  const update = conditions[bits.indexOf(MODE.UPDATE)];
  if ((mode & MODE.OWN) !== 0 || bits.length !== conditions.length || update === undefined) return undefined;
  if (update === 0xff || (update & USER) === 0) return undefined;
  const others = bits.flatMap((bit, index) => (bit === MODE.READ ? [] : [conditions[index] ?? 0xff]));
  return Uint8Array.of(mode | MODE.READ, ...others, update);
}

interface Rule {
  readonly mode: Tlv;
  readonly conditions: readonly Tlv[];
}

function expanded(value: Uint8Array, reference: number, only: boolean): Uint8Array | undefined {
  const rules: { mode: Tlv; conditions: Tlv[] }[] = [];
  for (const field of readTlvs(value, "access rules")) {
    if (isMode(field.tag)) rules.push({ mode: field, conditions: [] });
    else rules.at(-1)?.conditions.push(field);
  }
  const update = rules.find(({ mode }) => allows(mode, MODE.UPDATE));
  if (!update || !wantsPin(update, reference, only)) return undefined;
  const others = rules.flatMap(({ mode, conditions }) => {
    const left = allows(mode, MODE.READ) ? (mode.value[0] ?? 0) & ~MODE.READ : undefined;
    if (left === 0) return [];
    const modes = left === undefined ? encodeTlv(mode.tag, mode.value) : encodeTlv(MODE_BYTE, Uint8Array.of(left));
    return [modes, ...encoded(conditions)];
  });
  return concat(...others, encodeTlv(MODE_BYTE, Uint8Array.of(MODE.READ)), ...encoded(update.conditions));
}

const encoded = (fields: readonly Tlv[]): Uint8Array[] => fields.map(({ tag, value }) => encodeTlv(tag, value));

function allows({ tag, value }: Tlv, bit: number): boolean {
  const [mode = MODE.OWN] = value;
  return tag === MODE_BYTE && (mode & MODE.OWN) === 0 && (mode & bit) !== 0;
}

/** One condition, which is that PIN. */
function wantsPin({ conditions: [condition, another] }: Rule, reference: number, only: boolean): boolean {
  if (condition?.tag !== AUTHENTICATION || another) return false;
  const named = findTlv(readTlvs(condition.value, "access rules"), REFERENCE);
  return named ? named.length === 1 && named[0] === reference : only;
}

/**
 * Access rules that protect a new file with the PIN: those of a private file of the same PIN, if there is one; else
 * those of a public file, with reading restricted to the PIN.
 * @param open Selects the public file.
 * @throws {UnsupportedError} if neither is known: then nothing is written that others could read.
 */
export async function privateModel(
  turn: CardSession,
  application: Pkcs15Application,
  open: () => Promise<FileControl>,
  pin: PinEntry | undefined,
): Promise<FileControl> {
  const sibling = await privateSibling(application, pin);
  if (sibling) return turn.select(sibling);
  const model = await open();
  const security = pin && rulesFor(application, model.security, pin);
  if (security) return { ...model, security };
  throw new UnsupportedError("the card has no private object whose access rules a new one could take");
}

function rulesFor(
  { dialect, pins }: Pkcs15Application,
  security: FileControl["security"],
  { reference }: PinEntry,
): FileControl["security"] | undefined {
  return dialect.privateRules?.(security, reference) ?? privateRules(security, reference, pins.users.length === 1);
}

async function privateSibling(
  { contents, session, pins }: Pkcs15Application,
  pin: PinEntry | undefined,
): Promise<FilePath | undefined> {
  for (const kind of ["data", "certificates"] as const) {
    for (const item of await contents.directory(kind)) {
      const { private: hidden, authId } = item.entry.head;
      if (hidden && isGuardedBy(authId, pin, pins.users.length)) {
        const place = ownFile(session.applicationDf, item.entry);
        if (place) return place;
      }
    }
  }
  return undefined;
}

/**
 * Whether a private object belongs to the same PIN.
 * @param users The number of PINs: with one, all private objects do. Another PIN's rules would lock out the owner of a
 *   new object, and admit another user.
 */
export function isGuardedBy(authId: Uint8Array | undefined, pin: PinEntry | undefined, users: number): boolean {
  if (!authId || !pin?.authId) return users <= 1;
  return equalBytes(authId, pin.authId);
}
