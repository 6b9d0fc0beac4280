import { contextTag, type DerReader, TAG } from "../../asn1/index.ts";
import { decodeEcParameters, type NamedCurve } from "../../crypto/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type Flags, optionalFlags, optionalNumber, optionalReference, readTime } from "./fields.ts";
import { readObject, type ObjectHead } from "./object.ts";
import { type ObjectValue, readValue } from "./path.ts";

/** What keys of all classes have (ISO/IEC 7816-15 section 8.2.12, CommonKeyAttributes). */
interface KeyAttributes {
  readonly id: Uint8Array;
  readonly usage: Flags;
  /** Whether the card computes with it. */
  readonly native: boolean;
  readonly access: Flags;
  /** The card's own number for it. */
  readonly keyReference: number | undefined;
  readonly startDate: Date | undefined;
  readonly endDate: Date | undefined;
  /** References into TokenInfo's supportedAlgorithms. */
  readonly algorithms: readonly number[];
}

/** Bits of KeyUsageFlags. */
export const USAGE = {
  ENCIPHER: 0,
  DECIPHER: 1,
  SIGN: 2,
  SIGN_RECOVER: 3,
  WRAP: 4,
  UNWRAP: 5,
  VERIFY: 6,
  VERIFY_RECOVER: 7,
  DERIVE: 8,
  NON_REPUDIATION: 9,
} as const;

/** Bits of KeyAccessFlags. */
export const KEY_ACCESS = {
  SENSITIVE: 0,
  EXTRACTABLE: 1,
  ALWAYS_SENSITIVE: 2,
  NEVER_EXTRACTABLE: 3,
  LOCAL: 4,
} as const;

type KeyKind = "rsa" | "ec" | "other";

interface KeyEntryBase {
  readonly head: ObjectHead;
  readonly key: KeyAttributes;
  readonly type: KeyKind;
  readonly value: ObjectValue | undefined;
  /** Of RSA, bits. */
  readonly modulusBits: number | undefined;
  /** For EC: the bits of the field, on cards without named curves. */
  readonly fieldBits: number | undefined;
  /** For EC, if the directory contains it. */
  readonly curve: NamedCurve | undefined;
}

export interface PrivateKeyEntry extends KeyEntryBase {
  readonly class: "private-key";
}

export interface PublicKeyEntry extends KeyEntryBase {
  readonly class: "public-key";
}

export interface SecretKeyEntry {
  readonly class: "secret-key";
  readonly head: ObjectHead;
  readonly key: KeyAttributes;
  readonly keyBits: number | undefined;
}

const END_DATE = contextTag(0, "primitive");
const ALGORITHMS = contextTag(1, "constructed");
const MAX_ALGORITHMS = 64;

function readKeyAttributes(reader: DerReader): KeyAttributes {
  const id = reader.octetString();
  const usage = optionalFlags(reader);
  const native = reader.peek() === TAG.BOOLEAN ? reader.boolean() : true;
  const access = optionalFlags(reader);
  const keyReference = optionalReference(reader);
  const start = reader.optional(TAG.GENERALIZED_TIME);
  const end = reader.optional(END_DATE);
  const algorithms = reader.peek() === ALGORITHMS ? readAlgorithms(reader.enter(ALGORITHMS)) : [];
  return {
    id,
    usage,
    native,
    access,
    keyReference,
    startDate: start && readTime(start),
    endDate: end && readTime({ ...end, tag: TAG.GENERALIZED_TIME }),
    algorithms,
  };
}

function readAlgorithms(reader: DerReader): number[] {
  const found: number[] = [];
  while (reader.remaining > 0 && found.length < MAX_ALGORITHMS) {
    const reference = optionalReference(reader);
    if (reference === undefined) break;
    found.push(reference);
  }
  return found;
}

/** Types by the tag of the choice (PrivateKeyChoice, PublicKeyChoice); all others are only named. */
const KEY_TYPES: ReadonlyMap<number, KeyKind> = new Map([
  [TAG.SEQUENCE, "rsa"],
  [contextTag(0, "constructed"), "ec"],
]);

export function readPrivateKey(reader: DerReader): PrivateKeyEntry {
  return { class: "private-key", ...readAsymmetric(reader) };
}

export function readPublicKey(reader: DerReader): PublicKeyEntry {
  return { class: "public-key", ...readAsymmetric(reader) };
}

function readAsymmetric(reader: DerReader): KeyEntryBase {
  const tag = reader.peek() ?? 0;
  const type = KEY_TYPES.get(tag) ?? "other";
  const { head, classPart, typePart } = readObject(reader.enter(tag));
  const key = readKeyAttributes(classPart);
  if (type === "other") {
    return { head, key, type, value: undefined, modulusBits: undefined, fieldBits: undefined, curve: undefined };
  }
  const fields = typePart.enter();
  const value = readValue(fields);
  // In the standard only RSA keys have a length here; some writers put the field's length of an EC key in the same
  // place.
  const bits = optionalNumber(fields);
  return {
    head,
    key,
    type,
    value,
    modulusBits: type === "rsa" ? bits : undefined,
    fieldBits: type === "ec" ? bits : undefined,
    curve: type === "ec" && fields.peek() === TAG.SEQUENCE ? readCurve(fields.enter()) : undefined,
  };
}

/** KeyInfo's paramsAndOps; only the parameters of a named curve are used. */
function readCurve(reader: DerReader): NamedCurve | undefined {
  const parameters = reader.optional(TAG.OBJECT_IDENTIFIER);
  if (!parameters) return undefined;
  try {
    return decodeEcParameters(parameters.encoding);
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
}

export function readSecretKey(reader: DerReader): SecretKeyEntry {
  const { head, classPart, subClassPart } = readObject(reader.enter(reader.peek() ?? 0));
  const key = readKeyAttributes(classPart);
  const fields = subClassPart?.peek() === TAG.SEQUENCE ? subClassPart.enter() : undefined;
  return { class: "secret-key", head, key, keyBits: fields && optionalNumber(fields) };
}
