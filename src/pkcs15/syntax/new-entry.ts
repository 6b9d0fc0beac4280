import { contextTag, derOctetString, derOid, DerReader, derSequence, encodeDer, TAG } from "../../asn1/index.ts";
import { DataError } from "../../bytes/index.ts";
import type { KeyUsage } from "../../card/index.ts";
import { PIN_FLAG, PIN_TYPES, type PinEntry } from "./authentication.ts";
import { derFlags, derNumber, derText } from "./fields.ts";
import { KEY_ACCESS, USAGE } from "./key.ts";
import { OBJECT_FLAG } from "./object.ts";
import { encodePath, type FileReference } from "./path.ts";

/** The head of a new entry. */
export interface NewHead {
  readonly label: string;
  readonly private: boolean;
  /** The PIN that protects it. */
  readonly authId?: Uint8Array;
  readonly userConsent?: boolean;
}

const EC = contextTag(0, "constructed");
const TYPE = contextTag(1, "constructed");
const TRUE = encodeDer(TAG.BOOLEAN, Uint8Array.of(0xff));
const FALSE = encodeDer(TAG.BOOLEAN, Uint8Array.of(0x00));

function head({ label, private: hidden, authId, userConsent }: NewHead): Uint8Array {
  const flags = derFlags(hidden ? [OBJECT_FLAG.PRIVATE, OBJECT_FLAG.MODIFIABLE] : [OBJECT_FLAG.MODIFIABLE]);
  return derSequence(
    derText(label),
    flags,
    ...(authId ? [derOctetString(authId)] : []),
    ...(userConsent ? [derNumber(1)] : []),
  );
}

/** An X.509 certificate of a CDF. */
export function certificateEntry(
  fields: NewHead & { readonly id: Uint8Array; readonly authority: boolean; readonly file: FileReference },
): Uint8Array {
  return derSequence(
    head(fields),
    derSequence(derOctetString(fields.id), ...(fields.authority ? [TRUE] : [])),
    encodeDer(TYPE, derSequence(encodePath(fields.file))),
  );
}

/** A PIN or PUK of an AODF, of one of the types of the standard. */
export function pinEntry(pin: PinEntry): Uint8Array {
  const { head, authId, minLength, storedLength, maxLength = storedLength } = pin;
  const flags = Object.values(PIN_FLAG).filter((flag) => pin.flags.has(flag));
  const attributes = derSequence(
    derFlags(flags),
    encodeDer(TAG.ENUMERATED, Uint8Array.of(PIN_TYPES.indexOf(pin.type))),
    derNumber(minLength),
    derNumber(storedLength),
    derNumber(maxLength),
    encodeDer(contextTag(0, "primitive"), Uint8Array.of(pin.reference)),
    ...(pin.padding === undefined ? [] : [derOctetString(Uint8Array.of(pin.padding))]),
  );
  return derSequence(
    derSequence(
      derText(head.label),
      derFlags([OBJECT_FLAG.PRIVATE, OBJECT_FLAG.MODIFIABLE]),
      ...(head.authId ? [derOctetString(head.authId)] : []),
    ),
    derSequence(derOctetString(authId ?? new Uint8Array())),
    encodeDer(TYPE, attributes),
  );
}

/** A data object of a DODF. @throws {DataError} if `objectId` is not an object identifier. */
export function dataEntry(
  fields: NewHead & { readonly application: string; readonly objectId?: string; readonly file: FileReference },
): Uint8Array {
  return derSequence(
    head(fields),
    derSequence(derText(fields.application), ...(fields.objectId === undefined ? [] : [derOid(fields.objectId)])),
    encodeDer(TYPE, encodePath(fields.file)),
  );
}

interface NewKey extends NewHead {
  readonly id: Uint8Array;
  readonly type: "rsa" | "ec";
  /** Of the modulus or the field. */
  readonly bits: number;
  readonly usage: KeyUsage;
  readonly keyReference: number;
  readonly file: FileReference;
}

/** A key of a PuKDF, which the card only stores. */
export function publicKeyEntry(key: NewKey): Uint8Array {
  const usage = [
    ...(key.usage.decrypt ? [USAGE.ENCIPHER, USAGE.WRAP] : []),
    ...(key.usage.sign ? [USAGE.VERIFY] : []),
    ...(key.usage.derive ? [USAGE.DERIVE] : []),
  ];
  const attributes = derSequence(derOctetString(key.id), derFlags(usage), FALSE, derNumber(key.keyReference));
  return keyEntry(key, attributes);
}

/** A key of a PrKDF. @param made Whether it was generated on the card. */
export function privateKeyEntry(key: NewKey, made: boolean): Uint8Array {
  const usage = [
    ...(key.usage.decrypt ? [USAGE.DECIPHER, USAGE.UNWRAP] : []),
    ...(key.usage.sign ? [USAGE.SIGN] : []),
    ...(key.usage.derive ? [USAGE.DERIVE] : []),
  ];
  const access = made
    ? [KEY_ACCESS.SENSITIVE, KEY_ACCESS.ALWAYS_SENSITIVE, KEY_ACCESS.NEVER_EXTRACTABLE, KEY_ACCESS.LOCAL]
    : [KEY_ACCESS.SENSITIVE];
  const attributes = derSequence(
    derOctetString(key.id),
    derFlags(usage),
    derFlags(access),
    derNumber(key.keyReference),
  );
  return keyEntry(key, attributes);
}

/** The field's length of an EC key is where an RSA key has its modulus's, as on real cards (OpenSC, pkcs15-prkey.c). */
function keyEntry(key: NewKey, attributes: Uint8Array): Uint8Array {
  const value = encodeDer(TYPE, derSequence(encodePath(key.file), derNumber(key.bits)));
  return encodeDer(key.type === "rsa" ? TAG.SEQUENCE : EC, head(key), attributes, value);
}

/** The changed fields of an entry. */
export interface EntryChanges {
  readonly label?: string;
  readonly id?: Uint8Array;
  readonly file?: FileReference;
}

/**
 * Replaces fields of an entry, and leaves the others unchanged.
 * @throws {DataError} if it has no such field.
 */
export function changedEntry(der: Uint8Array, changes: EntryChanges): Uint8Array {
  const outer = new DerReader(der, "directory entry");
  const tag = outer.peek() ?? 0;
  const parts = elements(outer.enter(tag));
  const [common, attributes] = parts;
  if (!common || !attributes) throw new DataError("directory entry: cut off");
  const { label, id, file } = changes;
  const changed = parts.map((part, index) => {
    if (index === 0 && label !== undefined) return relabelled(part, label);
    if (index === 1 && id !== undefined) return withFirst(part, TAG.OCTET_STRING, derOctetString(id));
    if (part[0] === TYPE && file !== undefined) return relocated(part, file);
    return part;
  });
  return encodeDer(tag, ...changed);
}

function elements(reader: DerReader): Uint8Array[] {
  const found: Uint8Array[] = [];
  while (reader.remaining > 0) found.push(reader.next().encoding);
  return found;
}

function relabelled(common: Uint8Array, label: string): Uint8Array {
  const parts = elements(new DerReader(common).enter());
  const rest = parts[0]?.[0] === TAG.UTF8_STRING ? parts.slice(1) : parts;
  return derSequence(derText(label), ...rest);
}

/** Replaces the first element with `tag`, or inserts one at the front. */
function withFirst(sequence: Uint8Array, tag: number, replacement: Uint8Array): Uint8Array {
  const parts = elements(new DerReader(sequence).enter());
  const at = parts.findIndex((part) => part[0] === tag);
  if (at < 0) throw new DataError("directory entry: no such field");
  return derSequence(...parts.with(at, replacement));
}

/** [1] { Path } or [1] { SEQUENCE { Path, ... } }: a Path begins with an OCTET STRING. */
function relocated(typePart: Uint8Array, file: FileReference): Uint8Array {
  const inner = new DerReader(typePart).enter(TYPE).next(TAG.SEQUENCE);
  if (inner.contents[0] === TAG.OCTET_STRING) return encodeDer(TYPE, encodePath(file));
  const [path, ...rest] = elements(new DerReader(inner.encoding).enter());
  if (path?.[0] !== TAG.SEQUENCE) throw new DataError("directory entry: no path");
  return encodeDer(TYPE, derSequence(encodePath(file), ...rest));
}
