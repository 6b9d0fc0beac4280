import { toHex } from "../bytes/index.ts";
import type { FileControl } from "./file-control.ts";

const COMPACT = 0x8c;

/** Bits of the access mode byte, the highest first: what they stand for in EFs and in DFs (ISO/IEC 7816-4 tables 17 and 18). */
const EF_MODES = ["delete", "terminate", "activate", "deactivate", "write", "update", "read"] as const;
const DF_MODES = ["delete", "terminate", "activate", "deactivate", "create DF", "create EF", "delete child"] as const;

/** Bits of the security condition byte (table 20). */
const CONDITION = { ALL: 0x80, SECURE_MESSAGING: 0x40, EXTERNAL: 0x20, USER: 0x10, ENVIRONMENT: 0x0f } as const;

/**
 * Access rules in words: "read: always", "update: user (environment 1)". Those that are not in compact form are shown as they are.
 * @param isDirectory The rules are those of a DF.
 */
export function accessRules(security: FileControl["security"], isDirectory: boolean): readonly string[] {
  return security.flatMap(({ tag, value }) => {
    const rules = tag === COMPACT ? readCompact(value, isDirectory) : undefined;
    return rules ?? [`${toHex(Uint8Array.of(tag)).toUpperCase()} ${toHex(value, " ").toUpperCase()}`];
  });
}

/** An access mode byte, and a condition for each of its bits; undefined if the bytes do not fit together. */
function readCompact(value: Uint8Array, isDirectory: boolean): readonly string[] | undefined {
  const [mode = 0x80, ...conditions] = value;
  // With the highest bit set, bits 4 to 7 are the maker's own.
  if ((mode & 0x80) !== 0) return undefined;
  const names = isDirectory ? DF_MODES : EF_MODES;
  const modes = names.filter((_, index) => (mode & (0x40 >> index)) !== 0);
  if (modes.length !== conditions.length) return undefined;
  return modes.map((name, index) => `${name}: ${condition(conditions[index] ?? 0xff)}`);
}

function condition(byte: number): string {
  if (byte === 0x00) return "always";
  if (byte === 0xff) return "never";
  const parts = [
    ...((byte & CONDITION.USER) !== 0 ? ["user"] : []),
    ...((byte & CONDITION.EXTERNAL) !== 0 ? ["external authentication"] : []),
    ...((byte & CONDITION.SECURE_MESSAGING) !== 0 ? ["secure messaging"] : []),
  ];
  const environment = byte & CONDITION.ENVIRONMENT;
  const words = parts.join((byte & CONDITION.ALL) !== 0 ? " and " : " or ") || "a condition of the card's own";
  return environment === 0 ? words : `${words} (environment ${environment})`;
}
