import { contextTag, type DerReader, TAG } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type Flags, optionalFlags, optionalNumber, optionalOctets, optionalReference, readNumber } from "./fields.ts";
import { type ObjectHead, readObject } from "./object.ts";
import { type FileReference, optionalPath } from "./path.ts";

/** How the characters of a PIN are stored and sent (PasswordType); "hexadecimal" is not in the AODF. */
export type PinType = "bcd" | "ascii-numeric" | "utf8" | "half-nibble-bcd" | "iso9564-1" | "hexadecimal";

/** Bits of PasswordFlags. */
export const PIN_FLAG = {
  CASE_SENSITIVE: 0,
  LOCAL: 1,
  CHANGE_DISABLED: 2,
  UNBLOCK_DISABLED: 3,
  INITIALIZED: 4,
  NEEDS_PADDING: 5,
  UNBLOCKING: 6,
  SO: 7,
  DISABLE_ALLOWED: 8,
  INTEGRITY_PROTECTED: 9,
  CONFIDENTIALITY_PROTECTED: 10,
  EXCHANGE_REFERENCE_DATA: 11,
  RESET_RETRY_COUNTER_1: 12,
  RESET_RETRY_COUNTER_2: 13,
} as const;

/** A PIN or PUK of an AODF (ISO/IEC 7816-15 section 8.9.2, PasswordAttributes). */
export interface PinEntry {
  readonly class: "pin";
  readonly head: ObjectHead;
  /** Its identifier in objects; {@link ObjectHead.authId} of its own names the PUK that unblocks it. */
  readonly authId: Uint8Array | undefined;
  readonly flags: Flags;
  readonly type: PinType;
  /** Characters. */
  readonly minLength: number;
  /** Stored bytes; a shorter PIN is padded to this length. */
  readonly storedLength: number;
  readonly maxLength: number | undefined;
  /** P2 of VERIFY. */
  readonly reference: number;
  readonly padding: number | undefined;
  /** The DF that must be selected when the PIN is used. */
  readonly path: FileReference | undefined;
}

/** A biometric template, or an external authentication: known, but not supported. */
interface OtherAuthenticationEntry {
  readonly class: "authentication";
  readonly head: ObjectHead;
  readonly authId: Uint8Array | undefined;
  readonly type: "biometric" | "external" | "unknown";
}

/** An authentication key: who has it authenticates to the card (section 8.9.4, AuthKeyAttributes). */
export interface KeyAuthenticationEntry {
  readonly class: "authentication";
  readonly head: ObjectHead;
  readonly authId: Uint8Array | undefined;
  readonly type: "key";
  /** Identifier of the key in the SKDF. */
  readonly keyId: Uint8Array | undefined;
}

export type AuthenticationEntry = PinEntry | KeyAuthenticationEntry | OtherAuthenticationEntry;

const OTHER_TYPES: ReadonlyMap<number, OtherAuthenticationEntry["type"]> = new Map([
  [contextTag(0, "constructed"), "biometric"],
  [contextTag(2, "constructed"), "external"],
]);
const KEY = contextTag(1, "constructed");
/** By their numbers. */
export const PIN_TYPES: readonly PinType[] = ["bcd", "ascii-numeric", "utf8", "half-nibble-bcd", "iso9564-1"];
const REFERENCE = contextTag(0, "primitive");
/** Most bytes of each of two PINs in one command. */
const MAX_PIN = 127;

export function readAuthentication(reader: DerReader): AuthenticationEntry {
  const tag = reader.peek() ?? 0;
  const { head, classPart, typePart } = readObject(reader.enter(tag));
  const authId = optionalOctets(classPart);
  if (tag === KEY) return { class: "authentication", head, authId, type: "key", keyId: readKeyId(typePart) };
  if (tag !== TAG.SEQUENCE) return { class: "authentication", head, authId, type: OTHER_TYPES.get(tag) ?? "unknown" };
  return { class: "pin", head, authId, ...readPassword(typePart.enter()) };
}

/** AuthKeyAttributes: derivedKey, which is true by default, and the identifier. */
function readKeyId(typePart: DerReader): Uint8Array | undefined {
  if (typePart.peek() !== TAG.SEQUENCE) return undefined;
  const reader = typePart.enter();
  reader.optional(TAG.BOOLEAN);
  return optionalOctets(reader);
}

function readPassword(reader: DerReader): Omit<PinEntry, "class" | "head" | "authId"> {
  const flags = optionalFlags(reader);
  const number = readNumber(reader, TAG.ENUMERATED);
  const type = PIN_TYPES[number];
  if (!type) throw new DataError(`a PIN of type ${number}`);
  const minLength = readNumber(reader);
  const storedLength = readNumber(reader);
  const maxLength = optionalNumber(reader);
  const reference = optionalReference(reader, REFERENCE) ?? 0;
  const [padding] = optionalOctets(reader) ?? [];
  reader.optional(TAG.GENERALIZED_TIME);
  const path = optionalPath(reader);
  if (reference > 0xff) throw new DataError(`a PIN reference of ${reference}`);
  if (Math.max(minLength, storedLength, maxLength ?? 0) > MAX_PIN)
    throw new DataError("a PIN of more than 127 characters");
  return { flags, type, minLength, storedLength, maxLength, reference, padding, path };
}
