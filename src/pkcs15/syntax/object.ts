import { contextTag, type DerReader, TAG } from "../../asn1/index.ts";
import { type Flags, optionalFlags, optionalNumber, optionalOctets, optionalText } from "./fields.ts";
import { type ObjectValue, readPath, readValue } from "./path.ts";

/** The common attributes of all objects (ISO/IEC 7816-15 section 8.2.9, CommonObjectAttributes). */
export interface ObjectHead {
  readonly label: string;
  /** Whether reading needs a PIN. */
  readonly private: boolean;
  readonly modifiable: boolean;
  /** Whether the driver can delete it, on a make where that does not follow from {@link modifiable}. */
  readonly deletable?: boolean;
  /** The authentication object that protects it. */
  readonly authId: Uint8Array | undefined;
  /** How often the key may be used after one verification of the PIN; undefined for no limit. */
  readonly userConsent: number | undefined;
  readonly accessRules: readonly AccessRule[];
}

/** The access rules of an object (AccessControlRule). */
export interface AccessRule {
  readonly modes: Flags;
  readonly condition: SecurityCondition;
}

export type SecurityCondition =
  | { readonly kind: "always" }
  | { readonly kind: "pin"; readonly authId: Uint8Array }
  /** An authentication by other means, or a combination of several. */
  | { readonly kind: "other" };

/** Bits of AccessMode. */
export const ACCESS = { READ: 0, UPDATE: 1, EXECUTE: 2, DELETE: 3, SIGN: 5, DECIPHER: 7, AUTHENTICATE: 9 } as const;

/**
 * Whether the card needs a PIN, or another authentication, before it returns the value: by the flag, by the identifier
 * or by the rules.
 */
export function isGuarded({ private: isPrivate, authId, accessRules }: ObjectHead): boolean {
  const reading = accessRules.filter(({ modes }) => modes.has(ACCESS.READ));
  return isPrivate || authId !== undefined || reading.some(({ condition }) => condition.kind !== "always");
}

/** Bits of CommonObjectFlags. */
export const OBJECT_FLAG = { PRIVATE: 0, MODIFIABLE: 1 } as const;

/** The three parts of an object; the type's tag has been read. */
export interface ObjectParts {
  readonly head: ObjectHead;
  /** The attributes of its class. */
  readonly classPart: DerReader;
  /** The attributes of some types. */
  readonly subClassPart: DerReader | undefined;
  /** The attributes of its type, not yet read. */
  readonly typePart: DerReader;
}

const SUB_CLASS = contextTag(0, "constructed");
const TYPE = contextTag(1, "constructed");

/** A CIO: CommonObjectAttributes, class attributes, [0] subclass attributes if any, [1] type attributes. */
export function readObject(reader: DerReader): ObjectParts {
  const head = readHead(reader.enter());
  const classPart = reader.enter();
  const subClassPart = reader.peek() === SUB_CLASS ? reader.enter(SUB_CLASS) : undefined;
  return { head, classPart, subClassPart, typePart: reader.enter(TYPE) };
}

function readHead(reader: DerReader): ObjectHead {
  const label = optionalText(reader) ?? "";
  const flags = optionalFlags(reader);
  return {
    label,
    private: flags.has(OBJECT_FLAG.PRIVATE),
    modifiable: flags.has(OBJECT_FLAG.MODIFIABLE),
    authId: optionalOctets(reader),
    userConsent: optionalNumber(reader),
    accessRules: reader.peek() === TAG.SEQUENCE ? readRules(reader.enter()) : [],
  };
}

/** Limit for the number of modes. */
const MAX_RULES = 32;

function readRules(reader: DerReader): AccessRule[] {
  const rules: AccessRule[] = [];
  while (reader.remaining > 0 && rules.length < MAX_RULES) {
    const rule = reader.enter();
    rules.push({ modes: optionalFlags(rule), condition: readCondition(rule) });
  }
  return rules;
}

function readCondition(reader: DerReader): SecurityCondition {
  const tag = reader.peek();
  if (tag === TAG.NULL) return { kind: "always" };
  const authId = optionalOctets(reader);
  return authId ? { kind: "pin", authId } : { kind: "other" };
}

/** A certificate of a CDF (ISO/IEC 7816-15 section 8.6). */
export interface CertificateEntry {
  readonly class: "certificate";
  readonly head: ObjectHead;
  readonly id: Uint8Array;
  /** A certification authority's. */
  readonly authority: boolean;
  /** "x509", or another kind, of which only the head is parsed. */
  readonly type: "x509" | "other";
  readonly value: ObjectValue | undefined;
}

export function readCertificate(reader: DerReader): CertificateEntry {
  const tag = reader.peek() ?? 0;
  const { head, classPart, typePart } = readObject(reader.enter(tag));
  const id = classPart.octetString();
  const authority = classPart.peek() === TAG.BOOLEAN && classPart.boolean();
  const type = tag === TAG.SEQUENCE ? "x509" : "other";
  return { class: "certificate", head, id, authority, type, value: type === "x509" ? readX509(typePart) : undefined };
}

const DIRECT = contextTag(0, "constructed");

/** X509CertificateAttributes; some writers leave its SEQUENCE out before a direct value. */
function readX509(typePart: DerReader): ObjectValue {
  return typePart.peek() === DIRECT ? readValue(typePart) : readValue(typePart.enter());
}

/** A data object of a DODF (ISO/IEC 7816-15 section 8.7). */
export interface DataEntry {
  readonly class: "data";
  readonly head: ObjectHead;
  readonly application: string;
  /** Dotted. */
  readonly objectId: string | undefined;
  readonly id: Uint8Array | undefined;
  readonly value: ObjectValue;
}

const OID_DO = contextTag(1, "constructed");

export function readData(reader: DerReader): DataEntry {
  const tag = reader.peek() ?? 0;
  const { head, classPart, typePart } = readObject(reader.enter(tag));
  const application = optionalText(classPart) ?? "";
  const objectId = classPart.peek() === TAG.OBJECT_IDENTIFIER ? classPart.oid() : undefined;
  const id = optionalOctets(classPart);
  if (tag !== OID_DO) return { class: "data", head, application, objectId, id, value: readOpaque(typePart) };
  const fields = typePart.enter();
  const own = fields.oid();
  return { class: "data", head, application, objectId: objectId ?? own, id, value: readValue(fields) };
}

/** The value itself, or a SEQUENCE around it: an inner one begins with the path's OCTET STRING. */
function readOpaque(typePart: DerReader): ObjectValue {
  if (typePart.peek() !== TAG.SEQUENCE) return readValue(typePart);
  const fields = typePart.enter();
  return fields.peek() === TAG.OCTET_STRING ? { kind: "file", file: readPath(fields) } : readValue(fields);
}
