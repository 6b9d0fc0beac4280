import type { PinUser } from "../../card/index.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/cko.ts";
import { nameOf } from "../constants/name.ts";
import type { AttributeValue } from "./kinds.ts";
import { incomplete, inconsistent, invalid, noSuch, readOnly, requireOfficer } from "./refusals.ts";
import { CLASSES } from "./tables/objects.ts";
import type { Footnote, Rules } from "./tables/rule.ts";
import { type AttributeList, ownValues, sameValue } from "./template.ts";

/** How an object comes into being. */
export type Making = "create" | "generate" | "unwrap" | "derive";

const MUST: Readonly<Record<Making, Footnote | undefined>> = { create: 1, generate: 3, unwrap: 5, derive: undefined };
/** No footnote is about C_DeriveKey, which makes keys as C_UnwrapKey does. */
const MUST_NOT: Readonly<Record<Making, Footnote>> = { create: 2, generate: 4, unwrap: 6, derive: 6 };

/** Attributes of an object, by their types. */
export type Values = Map<number, AttributeValue>;

/** What a new object will be: its rules, and its values as far as template, defaults and function say them. */
export interface NewObject {
  readonly rules: Rules;
  /** Copies: the object's own. */
  readonly values: Values;
}

/** Ways to use a key. A template that names none of them leaves the choice to the token; one that names some means no others. */
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
 * Checks the template of a new object, and adds what it leaves out.
 * @param user Who is logged in.
 * @param implied What the function itself says of the object; the template may say the same.
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
    if (notes.has(MUST_NOT[making])) throw readOnly(type, "is not the template's to say");
    if (notes.has(10)) requireOfficer(type, value, user);
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
    // Asked to be kept secret, and not to be let out: a key that leaves wrapped is less than that.
    else if (type === CKA.EXTRACTABLE && values.get(CKA.SENSITIVE) === true) yield [type, false];
    else yield [type, USES.has(type) && usesNamed ? false : initial];
  }
}

/** A template as a map. The standard lets a library refuse any repetition (section 4.1.1). */
export function valuesOf(template: AttributeList): Values {
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
  if (typeof objectClass !== "number") throw invalid(CKA.CLASS, "is no class");
  const found = CLASSES.get(objectClass);
  if (!found) {
    // "Attempting to create new objects of those kinds will result in an error" (section 4.1.1).
    throw BUILT_IN.has(objectClass)
      ? inconsistent(CKA.CLASS, `${nameOf("CKO", objectClass)} is built in: such objects are not made`)
      : invalid(CKA.CLASS, "is no class that is known here");
  }
  if (found.typedBy === undefined) return found.rules;
  const type = values.get(found.typedBy);
  if (type === undefined) throw incomplete(found.typedBy);
  const rules = typeof type === "number" ? found.types.get(type) : undefined;
  if (!rules) throw invalid(found.typedBy, `is no type that is known here for ${nameOf("CKO", objectClass)}`);
  return rules;
}

const BUILT_IN: ReadonlySet<number> = new Set([CKO.HW_FEATURE, CKO.MECHANISM, CKO.PROFILE]);
