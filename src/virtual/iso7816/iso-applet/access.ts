import { DataError } from "../../../bytes/index.ts";
import { type Access, type AccessRules, OPEN } from "../access.ts";
import type { CardFile } from "../file.ts";
import { PIN } from "./pin.ts";

/** Where the condition of an action stands, after the byte that says which follow (IsoApplet 0.6, File.java). */
const AT = { DELETE: 1, UPDATE: 6, READ: 7 } as const;
const LENGTH = 8;

/**
 * Access rules in tag 86 as IsoApplet has them: a byte FF and one condition for each of seven actions (ISO/IEC 7816-4 tables
 * 16, 17 and 20), {@link OPEN} without. In a directory, the place of updating is that of making files.
 * @throws {DataError} if there are not eight bytes.
 */
export function readRules({ kind, security }: CardFile): AccessRules {
  if (security.length === 0) return OPEN;
  if (security.length !== LENGTH) throw new DataError(`access rules: ${security.length} bytes, ${LENGTH} wanted`);
  const at = (index: number): Access => condition(security[index] ?? 0xff);
  const update = at(AT.UPDATE);
  return { use: kind === "df" ? update : at(AT.READ), update, delete: at(AT.DELETE), generate: "never" };
}

/** 00 everybody; 90, or 1x with the number of an environment: whoever knows the PIN; anything else nobody. */
function condition(byte: number): Access {
  if (byte === 0x00) return "always";
  return byte === 0x90 || (byte & 0x9f) === 0x10 ? PIN : "never";
}
