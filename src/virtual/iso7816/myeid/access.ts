import { DataError } from "../../../bytes/index.ts";
import { type Access, type AccessRules, OPEN } from "../access.ts";

const ALWAYS = 0x0;
const NEVER = 0xf;

/**
 * Access rules in tag 86, proprietary coding of MyEID: use, update, delete and generate in four bits each (0 everybody, F
 * nobody, else the reference of a PIN), and a byte of no meaning (OpenSC, card-myeid.c, encode_file_structure).
 */
export function encodeAccess(rules: AccessRules): Uint8Array {
  const [use, update, remove, generate] = [rules.use, rules.update, rules.delete, rules.generate].map(toNibble);
  return Uint8Array.of(((use ?? NEVER) << 4) | (update ?? NEVER), ((remove ?? NEVER) << 4) | (generate ?? NEVER), 0xff);
}

/**
 * The rules in a file's attributes, {@link OPEN} if it has none.
 * @throws {DataError} if there are not three bytes.
 */
export function decodeAccess(value: Uint8Array): AccessRules {
  if (value.length === 0) return OPEN;
  const [first = 0, second = 0] = value;
  if (value.length !== 3) throw new DataError(`access rules: ${value.length} bytes, 3 wanted`);
  return {
    use: fromNibble(first >> 4),
    update: fromNibble(first & 0x0f),
    delete: fromNibble(second >> 4),
    generate: fromNibble(second & 0x0f),
  };
}

function toNibble(access: Access): number {
  if (access === "always") return ALWAYS;
  return access === "never" ? NEVER : access;
}

function fromNibble(nibble: number): Access {
  if (nibble === ALWAYS) return "always";
  return nibble === NEVER ? "never" : nibble;
}
