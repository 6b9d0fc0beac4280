import { copySecret, equalBytes } from "../../bytes/index.ts";
import { CKR } from "../constants/ckr.ts";
import { nameOf } from "../constants/name.ts";
import { CryptokiError } from "../errors.ts";
import { type AttributeKind, type AttributeValue, kindOf } from "./kinds.ts";

/** The checked attributes of a template, in its order. */
export type AttributeList = readonly (readonly [type: number, value: AttributeValue])[];

/** Limit for nested templates, which no sensible caller exceeds (CVE-2026-13757). */
const MAX_DEPTH = 4;

/**
 * Parses a template.
 * @param template An object; or a list of attributes, in which one may be repeated, as callers in C can.
 * @throws {CryptokiError} CKR_ARGUMENTS_BAD if it is malformed; CKR_ATTRIBUTE_VALUE_INVALID for a value of a wrong
 *   type: an undefined value never means "any".
 */
export function readTemplate(template: object, depth = 0): AttributeList {
  if (depth > MAX_DEPTH)
    throw new CryptokiError(CKR.TEMPLATE_INCONSISTENT, `templates nested more than ${MAX_DEPTH} deep`);
  return entriesOf(template).map(([key, value]): readonly [number, AttributeValue] => {
    const type = Number(key);
    if (!Number.isInteger(type) || type < 0 || type > 0xffffffff) {
      throw new CryptokiError(CKR.ARGUMENTS_BAD, `"${String(key)}" is not an attribute; write [CKA.ID]: bytes`);
    }
    if (!isOfKind(kindOf(type), value, depth)) {
      throw new CryptokiError(CKR.ATTRIBUTE_VALUE_INVALID, `${nameOf("CKA", type)} needs ${WANTED[kindOf(type)]}`);
    }
    return [type, value];
  });
}

/** The attributes of a template from an untyped caller, in pairs. */
function entriesOf(template: unknown): readonly (readonly [key: unknown, value: unknown])[] {
  if (isObject(template)) return Object.entries(template);
  if (Array.isArray(template) && template.every(isPair)) return template;
  throw new CryptokiError(CKR.ARGUMENTS_BAD, "a template is an object: { [CKA.ID]: bytes }");
}

const isPair = (entry: unknown): entry is readonly [number, unknown] =>
  Array.isArray(entry) && entry.length === 2 && typeof entry[0] === "number";

const WANTED: Readonly<Record<AttributeKind, string>> = {
  boolean: "true or false",
  number: "a number from 0 to 2^32 - 1",
  text: "a string",
  date: "a Date, or null for none",
  bytes: "a Uint8Array",
  mechanisms: "an array of mechanism numbers",
  template: "a template",
};

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

const isUnsigned = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= 0xffffffff;

function isOfKind(kind: AttributeKind, value: unknown, depth: number): value is AttributeValue {
  switch (kind) {
    case "boolean":
      return typeof value === "boolean";
    case "number":
      return isUnsigned(value);
    case "text":
      return typeof value === "string";
    case "date":
      return value === null || (value instanceof Date && !Number.isNaN(value.getTime()));
    case "bytes":
      return value instanceof Uint8Array;
    case "mechanisms":
      return Array.isArray(value) && value.every(isUnsigned);
    case "template":
      return isObject(value) && readTemplate(value, depth + 1).length >= 0;
  }
}

const EMPTY = new Uint8Array();

/** Copies a value. */
export function ownValue(value: AttributeValue): AttributeValue {
  // Most objects have several empty values, and an array of its own takes 300 bytes.
  if (value instanceof Uint8Array) return value.length === 0 ? EMPTY : copySecret(value);
  if (value instanceof Date) return new Date(value);
  if (isMechanisms(value)) return [...value];
  if (!isObject(value)) return value;
  return Object.fromEntries(readTemplate(value).map(([type, inner]) => [type, ownValue(inner)]));
}

/** Copies values. */
export function ownValues(values: ReadonlyMap<number, AttributeValue>): Map<number, AttributeValue> {
  return new Map([...values].map(([type, value]) => [type, ownValue(value)]));
}

/** Whether two values of one attribute are equal. */
export function sameValue(a: AttributeValue, b: AttributeValue): boolean {
  if (a instanceof Uint8Array) return b instanceof Uint8Array && equalBytes(a, b);
  // CK_DATE has a day without a time.
  if (a instanceof Date) return b instanceof Date && day(a) === day(b);
  if (isMechanisms(a)) return isMechanisms(b) && a.length === b.length && a.every((type, index) => type === b[index]);
  if (isObject(a)) return isObject(b) && !(b instanceof Date) && sameTemplate(a, b);
  return a === b;
}

const isMechanisms = (value: AttributeValue): value is readonly number[] => Array.isArray(value);
const day = (date: Date): string => date.toISOString().slice(0, 10);

function sameTemplate(a: object, b: object): boolean {
  const [left, right] = [readTemplate(a), new Map(readTemplate(b))];
  return (
    left.length === right.size &&
    left.every(([type, value]) => {
      const other = right.get(type);
      return other !== undefined && sameValue(value, other);
    })
  );
}
