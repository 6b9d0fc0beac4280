import type { CardToken, NewVendorAttributes, PinUser } from "../../card/index.ts";
import { CK, CKO } from "../constants/ck.ts";
import { CKA } from "../constants/cka.ts";
import { nameOf } from "../constants/name.ts";
import { incomplete, inconsistent, invalid, noSuch, readOnly, requireOfficer } from "./errors.ts";
import type { AttributeValue, ValueOf } from "./kinds.ts";
import { CLASSES } from "./rules.ts";
import { FOOTNOTE, type Footnote, type Rules } from "./tables.ts";
import { type AttributeList, ownValues, sameValue } from "./template.ts";

/** How an object is created. */
export type Making = "create" | "generate" | "unwrap" | "derive";

const MUST: Readonly<Record<Making, Footnote | undefined>> = {
  create: FOOTNOTE.REQUIRED_TO_CREATE,
  generate: FOOTNOTE.REQUIRED_TO_GENERATE,
  unwrap: FOOTNOTE.REQUIRED_TO_UNWRAP,
  derive: undefined,
};
/** No footnote mentions C_DeriveKey, which makes keys as C_UnwrapKey does. */
const MUST_NOT: Readonly<Record<Making, Footnote>> = {
  create: FOOTNOTE.REFUSED_TO_CREATE,
  generate: FOOTNOTE.REFUSED_TO_GENERATE,
  unwrap: FOOTNOTE.REFUSED_TO_UNWRAP,
  derive: FOOTNOTE.REFUSED_TO_UNWRAP,
};

/** Attributes of an object, by their types. */
export type Values = Map<number, AttributeValue>;

/** A new object: its rules, and its values from the template, defaults and function. */
export interface NewObject {
  readonly rules: Rules;
  /** Copies: the object's own. */
  readonly values: Values;
  /** Of a private key that the card makes or keeps: {@link withoutVendorAttributes}. */
  readonly vendor?: NewVendorAttributes;
}

/**
 * The usage attributes of keys. A template that names none leaves the choice to the token; one that names some excludes
 * the others.
 */
const USES: ReadonlySet<number> = new Set([
  CKA.ENCRYPT,
  CKA.DECRYPT,
  CKA.SIGN,
  CKA.SIGN_RECOVER,
  CKA.VERIFY,
  CKA.VERIFY_RECOVER,
  CKA.WRAP,
  CKA.UNWRAP,
  CKA.DERIVE,
]);

/**
 * Checks the template of a new object, and adds defaults.
 * @param user Who is logged in.
 * @param implied What the function itself determines; the template may repeat it.
 * @throws {CryptokiError} CKR_TEMPLATE_INCOMPLETE, CKR_TEMPLATE_INCONSISTENT, CKR_ATTRIBUTE_TYPE_INVALID,
 *   CKR_ATTRIBUTE_VALUE_INVALID, CKR_ATTRIBUTE_READ_ONLY (PKCS#11 3.1 section 4.1.1).
 */
export function newObject(
  template: AttributeList,
  making: Making,
  user: PinUser | undefined,
  implied: AttributeList = [],
): NewObject {
  const given = valuesOf(template);
  const values: Values = new Map(given);
  for (const [type, value] of implied) {
    const named = values.get(type);
    if (named !== undefined && !sameValue(named, value)) throw inconsistent(type, "contradicts the function");
    values.set(type, value);
  }
  const rules = rulesFor(values);
  for (const [type, value] of given) {
    const notes = rules.get(type)?.notes;
    if (!notes) throw noSuch(type);
    if (notes.has(MUST_NOT[making])) throw readOnly(type, "cannot be set by a template");
    if (notes.has(FOOTNOTE.OFFICER_ONLY)) requireOfficer(type, value, user);
  }
  const must = MUST[making];
  for (const [type, { notes }] of rules) {
    if (must !== undefined && notes.has(must) && !values.has(type)) throw incomplete(type);
  }
  for (const [type, value] of defaults(rules, values, making, user)) if (!values.has(type)) values.set(type, value);
  return { rules, values: ownValues(values) };
}

function* defaults(
  rules: Rules,
  values: Values,
  making: Making,
  user: PinUser | undefined,
): Generator<readonly [number, AttributeValue]> {
  const objectClass = values.get(CKA.CLASS);
  const secret = objectClass === CKO.PRIVATE_KEY || objectClass === CKO.SECRET_KEY;
  const usesNamed = [...values.keys()].some((type) => USES.has(type));
  yield [CKA.PRIVATE, secret && (user === "user" || values.get(CKA.TOKEN) === true)];
  for (const [type, { initial }] of rules) {
    if (initial === undefined) continue;
    // "The CKA_EXTRACTABLE attribute is by default set to CK_TRUE" (C_UnwrapKey).
    if (type === CKA.EXTRACTABLE && making === "unwrap") yield [type, true];
    // The template makes it sensitive, but does not mention extraction: a key that may be exported wrapped is not what
    // it asks for.
    else if (type === CKA.EXTRACTABLE && values.get(CKA.SENSITIVE) === true) yield [type, false];
    else yield [type, USES.has(type) && usesNamed ? false : initial];
  }
}

/**
 * Takes the attributes of vendors that the card knows of new private keys ({@link CardToken.newKeyAttributes}) out of a template. The
 * rules of the standard, which judge the rest, have none of them.
 */
export function withoutVendorAttributes(
  { newKeyAttributes }: CardToken,
  template: AttributeList,
): { readonly standard: AttributeList; readonly vendor: NewVendorAttributes } {
  const vendor = new Map<number, number>();
  const standard = template.filter(([type, value]) => {
    if (!newKeyAttributes?.has(type) || typeof value !== "number") return true;
    if (vendor.has(type)) throw inconsistent(type, "is in the template twice");
    vendor.set(type, value);
    return false;
  });
  return { standard, vendor };
}

/** A template as a map. The standard lets a library refuse any repetition (section 4.1.1). */
function valuesOf(template: AttributeList): Values {
  const values: Values = new Map();
  for (const [type, value] of template) {
    if (values.has(type)) throw inconsistent(type, "is in the template twice");
    values.set(type, value);
  }
  return values;
}

function rulesFor(values: ReadonlyMap<number, AttributeValue>): Rules {
  const objectClass = values.get(CKA.CLASS);
  if (objectClass === undefined) throw incomplete(CKA.CLASS);
  if (typeof objectClass !== "number") throw invalid(CKA.CLASS, "is not a class");
  const found = CLASSES.get(objectClass);
  if (!found) {
    // "Attempting to create new objects of those kinds will result in an error" (section 4.1.1).
    throw BUILT_IN.has(objectClass)
      ? inconsistent(CKA.CLASS, `${nameOf("CKO", objectClass)} is built in and cannot be created`)
      : invalid(CKA.CLASS, "is not a known class");
  }
  if (found.typedBy === undefined) return found.rules;
  const type = values.get(found.typedBy);
  if (type === undefined) throw incomplete(found.typedBy);
  const rules = typeof type === "number" ? found.types.get(type) : undefined;
  if (!rules) throw invalid(found.typedBy, `is not a known type of ${nameOf("CKO", objectClass)}`);
  return rules;
}

const BUILT_IN: ReadonlySet<number> = new Set([CKO.HW_FEATURE, CKO.MECHANISM, CKO.PROFILE]);

/** The origin of a key, as far as it determines whether the key was ever exposed. */
export type Origin =
  | { readonly from: "elsewhere" }
  | { readonly from: "generation"; readonly mechanism: number }
  /** The attributes of its base key. */
  | { readonly from: "derivation"; readonly alwaysSensitive: boolean; readonly neverExtractable: boolean };

/**
 * Sets CKA_LOCAL, CKA_KEY_GEN_MECHANISM, CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE of a new key (PKCS#11 3.1
 * sections 4.7.2 and 4.9, and the functions that create keys).
 */
export function setOrigin({ rules, values }: NewObject, origin: Origin): void {
  const sensitive = values.get(CKA.SENSITIVE) === true;
  const unextractable = values.get(CKA.EXTRACTABLE) === false;
  const generated = origin.from === "generation";
  const derived = origin.from === "derivation";
  const set = (type: number, value: AttributeValue): void => {
    if (rules.has(type)) values.set(type, value);
  };
  set(CKA.LOCAL, generated);
  set(CKA.KEY_GEN_MECHANISM, generated ? origin.mechanism : CK.UNAVAILABLE_INFORMATION);
  set(CKA.ALWAYS_SENSITIVE, sensitive && (generated || (derived && origin.alwaysSensitive)));
  set(CKA.NEVER_EXTRACTABLE, unextractable && (generated || (derived && origin.neverExtractable)));
}

/** Footnotes of changeable attributes: 10, 11 and 12 limit the direction. */
const CHANGEABLE: readonly Footnote[] = [
  FOOTNOTE.MODIFIABLE,
  FOOTNOTE.OFFICER_ONLY,
  FOOTNOTE.STAYS_TRUE,
  FOOTNOTE.STAYS_FALSE,
];

/** Changeable only during copying (PKCS#11 3.1 section 4.1.3). */
const IN_A_COPY: ReadonlySet<number> = new Set([CKA.TOKEN, CKA.PRIVATE, CKA.MODIFIABLE, CKA.DESTROYABLE]);

/**
 * Checks a template of C_SetAttributeValue, or of C_CopyObject.
 * @param now The object's present values.
 * @param user Who is logged in.
 * @returns The new values, copied.
 * @throws {CryptokiError} CKR_ATTRIBUTE_READ_ONLY, CKR_ATTRIBUTE_TYPE_INVALID, CKR_TEMPLATE_INCONSISTENT (section
 *   4.1.2).
 */
export function checkChanges(
  rules: Rules,
  now: (type: number) => AttributeValue | undefined,
  template: AttributeList,
  user: PinUser | undefined,
  copying: boolean,
): Values {
  const changes = valuesOf(template);
  for (const [type, value] of changes) {
    const notes = rules.get(type)?.notes;
    if (!notes) throw noSuch(type);
    if (copying && IN_A_COPY.has(type)) continue;
    if (!CHANGEABLE.some((note) => notes.has(note))) throw readOnly(type, "cannot be changed");
    const before = now(type);
    if (before !== undefined && sameValue(before, value)) continue;
    if (notes.has(FOOTNOTE.STAYS_TRUE) && before === true) throw readOnly(type, "stays true");
    if (notes.has(FOOTNOTE.STAYS_FALSE) && before === false) throw readOnly(type, "stays false");
    if (notes.has(FOOTNOTE.OFFICER_ONLY)) requireOfficer(type, value, user);
  }
  return ownValues(changes);
}

/** Attributes whose values are of a kind. */
type OfKind<Kind> = { [Type in CKA]: ValueOf<Type> extends Kind ? Type : never }[CKA];

/** The value of a bytes attribute; empty if there is none. */
export function bytesOf(values: Values, type: OfKind<Uint8Array>): Uint8Array {
  const value = values.get(type);
  return value instanceof Uint8Array ? value : new Uint8Array();
}

/** The value of a number; undefined if there is none. */
export function numberOf(values: Values, type: OfKind<number>): number | undefined {
  const value = values.get(type);
  return typeof value === "number" ? value : undefined;
}

/** The value of a text; empty if there is none. */
export function textOf(values: Values, type: OfKind<string>): string {
  const value = values.get(type);
  return typeof value === "string" ? value : "";
}

/** Whether a flag is present and true. */
export function isTrue(values: Values, type: OfKind<boolean>): boolean {
  return values.get(type) === true;
}
