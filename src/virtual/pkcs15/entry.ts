import {
  contextTag,
  derBitString,
  derOctetString,
  derSequence,
  derUnsigned,
  encodeDer,
  TAG,
} from "../../asn1/index.ts";
import { concat, utf8 } from "../../bytes/index.ts";

/** Bits of CommonObjectFlags (ISO/IEC 7816-15 section 8.2.9). */
const OBJECT_FLAG = { PRIVATE: 0, MODIFIABLE: 1 } as const;
/** Bits of PasswordFlags (section 8.9.2). */
const PIN_FLAG = { LOCAL: 1, UNBLOCK_DISABLED: 3, INITIALIZED: 4, NEEDS_PADDING: 5, UNBLOCKING: 6 } as const;
const ASCII_NUMERIC = 1;
/** Bits of KeyAccessFlags (section 8.2.12). */
const KEY_ACCESS = { SENSITIVE: 0, ALWAYS_SENSITIVE: 2, NEVER_EXTRACTABLE: 3, LOCAL: 4 } as const;

/** Bits of KeyUsageFlags (section 8.2.12). */
export const USAGE = { ENCIPHER: 0, DECIPHER: 1, SIGN: 2, VERIFY: 6, DERIVE: 8, NON_REPUDIATION: 9 } as const;

/** What all objects have. */
export interface EntryHead {
  readonly label: string;
  /** Read or used after this authentication object only. */
  readonly authId?: number;
  /** Uses of a key that one verification of the PIN allows. */
  readonly userConsent?: number;
}

interface KeyEntry extends EntryHead {
  readonly id: number;
  readonly usage: readonly number[];
  readonly type: "rsa" | "ec";
  /** Of the modulus, or of the field. */
  readonly bits: number;
  readonly path: Uint8Array;
}

/** An entry of an AODF: a PIN, or a PUK, which only unblocks PINs. */
export function pinEntry(pin: {
  readonly label: string;
  readonly id: number;
  readonly reference: number;
  readonly minLength: number;
  readonly pukId?: number;
  readonly isPuk?: boolean;
  readonly path: Uint8Array;
}): Uint8Array {
  const flags = pin.isPuk === true ? [PIN_FLAG.UNBLOCK_DISABLED, PIN_FLAG.UNBLOCKING] : [];
  const attributes = derSequence(
    bits(PIN_FLAG.LOCAL, PIN_FLAG.INITIALIZED, PIN_FLAG.NEEDS_PADDING, ...flags),
    encodeDer(TAG.ENUMERATED, Uint8Array.of(ASCII_NUMERIC)),
    number(pin.minLength),
    number(8),
    number(8),
    encodeDer(contextTag(0, "primitive"), Uint8Array.of(pin.reference)),
    derOctetString(Uint8Array.of(0xff)),
    derSequence(derOctetString(pin.path)),
  );
  return entry(
    TAG.SEQUENCE,
    derSequence(
      text(pin.label),
      bits(OBJECT_FLAG.PRIVATE, OBJECT_FLAG.MODIFIABLE),
      ...(pin.pukId === undefined ? [] : [octet(pin.pukId)]),
    ),
    derSequence(octet(pin.id)),
    attributes,
  );
}

/** An entry of a PrKDF. The field's length of an EC key stands where OpenSC writes it (pkcs15-prkey.c, fieldSize). */
export function privateKeyEntry(key: KeyEntry & { readonly made: boolean }): Uint8Array {
  const { SENSITIVE, ...madeHere } = KEY_ACCESS;
  const access = bits(SENSITIVE, ...(key.made ? Object.values(madeHere) : []));
  const common = derSequence(octet(key.id), bits(...key.usage), access, number(0));
  return entry(keyTag(key), head(key), common, derSequence(file(key.path), number(key.bits)));
}

/** An entry of a PuKDF. */
export function publicKeyEntry(key: KeyEntry): Uint8Array {
  const common = derSequence(octet(key.id), bits(...key.usage));
  const attributes = key.type === "rsa" ? [file(key.path), number(key.bits)] : [file(key.path)];
  return entry(keyTag(key), head(key), common, derSequence(...attributes));
}

const keyTag = ({ type }: KeyEntry): number => (type === "rsa" ? TAG.SEQUENCE : contextTag(0, "constructed"));

/** An entry of a CDF. */
export function certificateEntry(
  certificate: EntryHead & { readonly id: number; readonly authority: boolean; readonly path: Uint8Array },
): Uint8Array {
  const authority = certificate.authority ? encodeDer(TAG.BOOLEAN, Uint8Array.of(0xff)) : new Uint8Array();
  return entry(
    TAG.SEQUENCE,
    head(certificate),
    derSequence(octet(certificate.id), authority),
    derSequence(file(certificate.path)),
  );
}

/** An entry of a DODF. */
export function dataEntry(data: EntryHead & { readonly application: string; readonly path: Uint8Array }): Uint8Array {
  return entry(TAG.SEQUENCE, head(data), derSequence(text(data.application)), file(data.path));
}

/** CommonObjectAttributes, class attributes, [1] type attributes. */
function entry(tag: number, ...[object, common, type]: readonly [Uint8Array, Uint8Array, Uint8Array]): Uint8Array {
  return encodeDer(tag, object, common, encodeDer(contextTag(1, "constructed"), type));
}

function head({ label, authId, userConsent }: EntryHead): Uint8Array {
  const isPrivate = authId === undefined ? [] : [OBJECT_FLAG.PRIVATE];
  return derSequence(
    text(label),
    bits(...isPrivate, OBJECT_FLAG.MODIFIABLE),
    ...(authId === undefined ? [] : [octet(authId)]),
    ...(userConsent === undefined ? [] : [number(userConsent)]),
  );
}

/** A Path: the file by its way from the master file. */
export function file(path: Uint8Array): Uint8Array {
  return derSequence(derOctetString(path));
}

export function text(value: string): Uint8Array {
  return encodeDer(TAG.UTF8_STRING, utf8(value));
}

export function number(value: number): Uint8Array {
  return derUnsigned(Uint8Array.of(value >> 8, value & 0xff));
}

const octet = (value: number): Uint8Array => derOctetString(Uint8Array.of(value));

/** A BIT STRING of named bits: as short as they allow (X.690 section 11.2.2). */
export function bits(...set: readonly number[]): Uint8Array {
  const last = Math.max(-1, ...set);
  const bytes = new Uint8Array(Math.ceil((last + 1) / 8));
  for (const bit of set) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return derBitString(bytes, last < 0 ? 0 : 7 - (last & 7));
}

/** Entries one after the other, as a directory file has them, and room for more. */
export function directory(entries: readonly Uint8Array[], size: number): Uint8Array {
  const written = concat(...entries);
  const contents = new Uint8Array(Math.max(size, written.length));
  contents.set(written);
  return contents;
}
