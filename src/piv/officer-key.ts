/**
 * Where Yubico's programs keep the management key of a card, so that its holder's PIN is enough: in a data object that the PIN opens
 * ("protected"), or, in old releases, derived from the PIN. Another object, readable by all, says which (yubikey-manager, ykman/piv.py,
 * PivmanData and PivmanProtectedData). This driver reads both, and makes the first only: a key that is derived from a PIN of six digits is
 * guessed in minutes.
 */
import { encodeTlv, findTlv, readTlvs } from "../apdu/index.ts";
import { concatSecret, copySecret, DataError, equalBytes, secretBytes, wipe } from "../bytes/index.ts";
import type { OfficerKeyStorage } from "../card/index.ts";
import { pbkdf2Hmac } from "../crypto/index.ts";

/** Data object that all may read: the flags, the salt of a derived key, and the time of the last change of the PIN. */
export const ADMINISTRATOR_DATA = 0x5fff00;

const TAG = { DATA: 0x80, FLAGS: 0x81, SALT: 0x82, PROTECTED: 0x88, KEY: 0x89, NEXT_KEY: 0x8a } as const;
const KEY_IS_PROTECTED = 0x02;
/** PBKDF2 with HMAC-SHA-1; a key for 3DES (derive_management_key in the same file). */
const DERIVATION = { hash: "sha1", iterations: 10_000, length: 24 } as const;

/** What {@link ADMINISTRATOR_DATA} says. */
export interface AdministratorData {
  readonly flags: number;
  /** Of a key that is derived from the PIN. */
  readonly salt: Uint8Array | undefined;
  /** Other fields, which other programs wrote. */
  readonly others: readonly { readonly tag: number; readonly value: Uint8Array }[];
}

/** Parses the object. One that is absent or malformed says nothing. */
export function readAdministratorData(value: Uint8Array | undefined): AdministratorData {
  try {
    const fields = readTlvs(findTlv(readTlvs(value ?? new Uint8Array()), TAG.DATA) ?? new Uint8Array());
    return {
      flags: findTlv(fields, TAG.FLAGS)?.[0] ?? 0,
      salt: findTlv(fields, TAG.SALT),
      others: fields.filter(({ tag }) => tag !== TAG.FLAGS && tag !== TAG.SALT),
    };
  } catch (error) {
    if (error instanceof DataError) return { flags: 0, salt: undefined, others: [] };
    throw error;
  }
}

/** The object after a change: whether the key is protected by the PIN, and the salt of a derived one, if it stays. */
export function encodeAdministratorData(
  { flags, others }: AdministratorData,
  isProtected: boolean,
  salt?: Uint8Array,
): Uint8Array {
  const changed = isProtected ? flags | KEY_IS_PROTECTED : flags & ~KEY_IS_PROTECTED;
  return encodeTlv(
    TAG.DATA,
    encodeTlv(TAG.FLAGS, Uint8Array.of(changed)),
    ...(salt ? [encodeTlv(TAG.SALT, salt)] : []),
    ...others.map(({ tag, value }) => encodeTlv(tag, value)),
  );
}

/** Where the management key is. */
export function storageOf({ flags, salt }: AdministratorData): OfficerKeyStorage {
  if ((flags & KEY_IS_PROTECTED) !== 0) return "protected";
  return salt ? "derived" : "apart";
}

/** Whether the object holds a protected key, and not printed information. */
export const isProtectedData = ([tag]: Uint8Array): boolean => tag === TAG.PROTECTED;

/** The keys in the protected object: the present one, and the next one if a change was interrupted. The caller wipes them. */
export function readProtectedKeys(value: Uint8Array | undefined): Uint8Array[] {
  try {
    const fields = readTlvs(findTlv(readTlvs(value ?? new Uint8Array()), TAG.PROTECTED) ?? new Uint8Array());
    return fields.filter(({ tag }) => tag === TAG.KEY || tag === TAG.NEXT_KEY).map((field) => copySecret(field.value));
  } catch (error) {
    if (error instanceof DataError) return [];
    throw error;
  }
}

/**
 * The protected object. The caller wipes it.
 * @param keys The card's key, which other programs read; after it those that it may have instead, while a change is under way.
 */
export function encodeProtectedKeys(...keys: readonly Uint8Array[]): Uint8Array {
  const known: Uint8Array[] = [];
  for (const key of keys) if (!known.some((one) => equalBytes(one, key))) known.push(key);
  const fields = concatSecret(
    ...known.flatMap((key, index) => [Uint8Array.of(index === 0 ? TAG.KEY : TAG.NEXT_KEY, key.length), key]),
  );
  // The head of a data object with so many bytes, whose length may take two bytes.
  const head = encodeTlv(TAG.PROTECTED, new Uint8Array(fields.length)).subarray(0, -fields.length);
  const object = concatSecret(head, fields);
  wipe(fields);
  return object;
}

/** The key that old programs derived from the PIN. The caller wipes it. */
export async function deriveKey(pin: Uint8Array, salt: Uint8Array): Promise<Uint8Array> {
  const derived = await pbkdf2Hmac(DERIVATION.hash, pin, salt, DERIVATION.iterations, DERIVATION.length);
  const key = secretBytes(derived.length);
  key.set(derived);
  derived.fill(0);
  return key;
}
