import { DataError } from "../../bytes/index.ts";

/** Who may: everybody, nobody, or who verified the PIN with this reference, 1 to 14. */
type Access = "always" | "never" | number;

/** Who may do what with a file. */
export interface AccessRules {
  /** Reads an EF, uses a key, makes files in a DF. */
  readonly use: Access;
  readonly update: Access;
  readonly delete: Access;
  /** Makes a key pair in a key file. */
  readonly generate: Access;
}

const ALWAYS = 0x0;
const NEVER = 0xf;

/** Everybody reads, nobody changes. */
export const READ_ONLY: AccessRules = { use: "always", update: "never", delete: "never", generate: "never" };

/**
 * Access rules in tag 86, proprietary coding of MyEID: use, update, delete and generate in four bits each (0 everybody, F
 * nobody, else the reference of a PIN), and a byte of no meaning (OpenSC, card-myeid.c, encode_file_structure).
 */
export function encodeAccess(rules: AccessRules): Uint8Array {
  const [use, update, remove, generate] = [rules.use, rules.update, rules.delete, rules.generate].map(toNibble);
  return Uint8Array.of(((use ?? NEVER) << 4) | (update ?? NEVER), ((remove ?? NEVER) << 4) | (generate ?? NEVER), 0xff);
}

/** @throws {DataError} if there are not three bytes. */
export function decodeAccess(value: Uint8Array): AccessRules {
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
