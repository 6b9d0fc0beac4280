import {
  contextTag,
  derBitString,
  derOctetString,
  derSequence,
  derUnsigned,
  encodeDer,
  TAG,
} from "../../asn1/index.ts";
import { concat, fromHex, utf8 } from "../../bytes/index.ts";
import type { AccessRules, TransparentFile } from "../iso7816/model.ts";
import { encodeAccess } from "../iso7816/myeid.ts";

/** Bits of CommonObjectFlags (ISO/IEC 7816-15 section 8.2.9). */
const OBJECT_FLAG = { PRIVATE: 0, MODIFIABLE: 1 } as const;
/** Bits of PasswordFlags (section 8.9.2). */
const PIN_FLAG = { LOCAL: 1, UNBLOCK_DISABLED: 3, INITIALIZED: 4, NEEDS_PADDING: 5, UNBLOCKING: 6 } as const;
const ASCII_NUMERIC = 1;
/** Bits of KeyAccessFlags (section 8.2.12). */
const KEY_ACCESS = { SENSITIVE: 0, ALWAYS_SENSITIVE: 2, NEVER_EXTRACTABLE: 3, LOCAL: 4 } as const;

/** Bits of KeyUsageFlags (section 8.2.12). */
export const USAGE = { ENCIPHER: 0, DECIPHER: 1, SIGN: 2, VERIFY: 6, DERIVE: 8, NON_REPUDIATION: 9 } as const;

/** The common attributes of all objects. */
export interface EntryHead {
  readonly label: string;
  /** The authentication object that must be verified before reading or use. */
  readonly authId?: number;
  /** Uses of a key after one verification of the PIN. */
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

/** An entry of an AODF: a key that authenticates the issuer, and its entry in the SKDF, a Triple-DES key. */
export function unlockKeyEntries(key: {
  readonly label: string;
  readonly id: number;
  readonly reference: number;
  readonly path: Uint8Array;
}): { readonly authentication: Uint8Array; readonly secretKey: Uint8Array } {
  const { label, id, reference, path } = key;
  const isDerived = encodeDer(TAG.BOOLEAN, Uint8Array.of(0));
  const authentication = entry(
    contextTag(1, "constructed"),
    head({ label }),
    derSequence(octet(id)),
    derSequence(isDerived, octet(id)),
  );
  const common = derSequence(octet(id), bits(USAGE.VERIFY), bits(KEY_ACCESS.SENSITIVE), number(reference));
  return { authentication, secretKey: entry(DES3_KEY, head({ label }), common, derSequence(file(path))) };
}

/** Choice of a Triple-DES key in an SKDF (PKCS #15 v1.1 section 6.5, SecretKeyType). */
const DES3_KEY = contextTag(4, "constructed");

/** An entry of a PrKDF. The field's length of an EC key is where OpenSC writes it (pkcs15-prkey.c, fieldSize). */
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

/** A Path: the file's path from the master file. */
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

/** A BIT STRING of named bits in its shortest form (X.690 section 11.2.2). */
export function bits(...set: readonly number[]): Uint8Array {
  const last = Math.max(-1, ...set);
  const bytes = new Uint8Array(Math.ceil((last + 1) / 8));
  for (const bit of set) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) | (0x80 >> (bit & 7));
  return derBitString(bytes, last < 0 ? 0 : 7 - (last & 7));
}

/** Concatenated entries, as in a directory file, and room for more. */
export function directory(entries: readonly Uint8Array[], size: number): Uint8Array {
  const written = concat(...entries);
  const contents = new Uint8Array(Math.max(size, written.length));
  contents.set(written);
  return contents;
}

/** The application "PKCS-15" of RSA Laboratories (PKCS #15 v1.1 section 6.2), and its name for SELECT. */
export const AID = fromHex("a000000063504b43532d3135");

/**
 * File identifiers. Those of the application and of its first two files are the standard's (PKCS #15 v1.1 section 6.4).
 */
export const FILE = {
  DIR: 0x2f00,
  APPLICATION: 0x5015,
  ODF: 0x5031,
  TOKEN_INFO: 0x5032,
  AODF: 0x4401,
  PRKDF: 0x4402,
  PUKDF: 0x4403,
  CDF: 0x4404,
  TRUSTED_CDF: 0x4405,
  USEFUL_CDF: 0x4406,
  DODF: 0x4407,
  SKDF: 0x4408,
  FIRST_KEY: 0x4b01,
  FIRST_PUBLIC_KEY: 0x4501,
  FIRST_CERTIFICATE: 0x4301,
  FIRST_DATA: 0x4601,
} as const;

/** References of the PINs; the identifiers of their authentication objects are the same numbers. The last is that of the unlock key. */
export const PIN = { AUTHENTICATION: 1, SIGNATURE: 2, AUTHENTICATION_PUK: 3, SIGNATURE_PUK: 4, UNLOCK_KEY: 5 } as const;

/** Path of a file of the application, from the master file. */
export function pathOf(id: number): Uint8Array {
  return Uint8Array.of(0x3f, 0x00, FILE.APPLICATION >> 8, FILE.APPLICATION & 0xff, id >> 8, id & 0xff);
}

/** Path of the application. */
export const APPLICATION_PATH = fromHex("3f005015");

/** In TokenInfo. */
export const MANUFACTURER = "Virtual cards";

/** Reading is free; the PIN allows management of the card. */
export const MANAGED: AccessRules = {
  use: "always",
  update: PIN.AUTHENTICATION,
  delete: PIN.AUTHENTICATION,
  generate: "never",
};

export function transparent(id: number, contents: Uint8Array, access = MANAGED): TransparentFile {
  return { kind: "transparent", id, security: encodeAccess(access), contents };
}
