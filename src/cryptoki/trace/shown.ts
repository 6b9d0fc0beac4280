import { toHex } from "../../bytes/index.ts";
import { CKA } from "../constants/cka.ts";
import { CKO } from "../constants/ck.ts";
import { type ConstantGroup, flagNames, type FlagGroup, nameOf } from "../constants/name.ts";
import type { ParameterKind, ResultKind } from "../function-entry.ts";
import type { FunctionName } from "../structures.ts";

/** Replaces a secret, including its length. */
const CONCEALED = "**";
/** Most bytes of a value, and elements of a list, that are shown. */
const SHOWN = 32;
/** Limit for nested structures. */
const MAX_DEPTH = 4;

/** Formats an argument with the standard's names. */
export function shownParameter(name: FunctionName, kind: ParameterKind, value: unknown): string {
  switch (kind) {
    case "pin":
      return value === null ? "NULL_PTR" : CONCEALED;
    case "secret":
      return lengthOf(value);
    case "mechanism":
      return mechanism(value);
    case "mechanism type":
      return constant("CKM", value);
    case "user type":
      return constant("CKU", value);
    case "flags":
      return flags(name, value);
    case "template":
      return template(value);
    case "attribute types":
      return Array.isArray(value) ? list(value, (type) => constant("CKA", type)) : shown(value);
    case "message parameter":
      return parameter(value);
    case "value":
      return value === null ? shown(value) : `(${typeof value})`;
    default:
      return shown(value);
  }
}

/** Formats the output with the standard's names; empty for a function without output. */
export function shownResult(kind: ResultKind, value: unknown): string | undefined {
  switch (kind) {
    case "none":
      return undefined;
    case "secret":
      return lengthOf(value);
    case "attributes":
      return template(value);
    default:
      return shown(value);
  }
}

function constant(group: ConstantGroup, value: unknown): string {
  return typeof value === "number" ? nameOf(group, value) : shown(value);
}

const FLAGS: Readonly<Partial<Record<FunctionName, FlagGroup>>> = {
  C_OpenSession: "CKF_SESSION",
  C_WaitForSlotEvent: "CKF_WAIT",
  C_GetInterface: "CKF_INTERFACE",
};

/** Flag groups of functions; those of any other are a mechanism's. */
function flags(name: FunctionName, value: unknown): string {
  if (typeof value !== "number" || value === 0) return shown(value);
  return flagNames(FLAGS[name] ?? "CKF_MECHANISM", value).join(" | ");
}

function lengthOf(value: unknown): string {
  if (value instanceof Uint8Array) return `(${value.length} bytes)`;
  return value === null || value === undefined ? shown(value) : CONCEALED;
}

function mechanism(value: unknown): string {
  if (typeof value !== "object" || value === null || !("mechanism" in value)) return shown(value);
  const name = constant("CKM", value.mechanism);
  return "parameter" in value && value.parameter !== undefined ? `${name} ${parameter(value.parameter)}` : name;
}

/** Shows only the length of its bytes: they may be a password, a salt or a shared secret. */
function parameter(value: unknown, depth = 0): string {
  if (value instanceof Uint8Array) return lengthOf(value);
  if (typeof value === "string") return CONCEALED;
  if (typeof value !== "object" || value === null) return shown(value);
  if (depth > MAX_DEPTH) return "...";
  return structure(value, (name, field) =>
    MECHANISMS.has(name) ? constant("CKM", field) : parameter(field, depth + 1),
  );
}

/** Fields of parameters that name a mechanism. */
const MECHANISMS: ReadonlySet<string> = new Set(["hashAlg", "prf", "prfHashMechanism", "prfMechanism"]);

/** The constants of an attribute's value. */
const NUMBERS: ReadonlyMap<number, ConstantGroup> = new Map<number, ConstantGroup>([
  [CKA.CLASS, "CKO"],
  [CKA.KEY_TYPE, "CKK"],
  [CKA.CERTIFICATE_TYPE, "CKC"],
  [CKA.HW_FEATURE_TYPE, "CKH"],
  [CKA.KEY_GEN_MECHANISM, "CKM"],
  [CKA.MECHANISM_TYPE, "CKM"],
  [CKA.PROFILE_ID, "CKP_PROFILE"],
]);

/** Parts of private keys. */
const SECRET: ReadonlySet<number> = new Set([
  CKA.PRIVATE_EXPONENT,
  CKA.PRIME_1,
  CKA.PRIME_2,
  CKA.EXPONENT_1,
  CKA.EXPONENT_2,
  CKA.COEFFICIENT,
]);

/** Classes whose CKA_VALUE is public. */
const OPEN_VALUE: ReadonlySet<unknown> = new Set([CKO.CERTIFICATE, CKO.PUBLIC_KEY]);

function template(value: unknown, depth = 0): string {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return shown(value);
  if (depth > MAX_DEPTH) return "...";
  const entries = attributesOf(value);
  const open = entries.some(([type, of]) => Number(type) === CKA.CLASS && OPEN_VALUE.has(of));
  const attributes = entries.map(([key, of]) => {
    const type = Number(key);
    return `${nameOf("CKA", type)} = ${attribute(type, of, open, depth)}`;
  });
  return `{${attributes.join(", ")}}`;
}

/** The pairs of a list of attributes; other elements are ignored. */
function attributesOf(template: object): readonly (readonly [type: unknown, value: unknown])[] {
  if (!Array.isArray(template)) return Object.entries(template);
  return template.map((entry: unknown) => (Array.isArray(entry) ? [entry[0], entry[1]] : [undefined, undefined]));
}

function attribute(type: number, value: unknown, open: boolean, depth: number): string {
  const group = NUMBERS.get(type);
  if (group) return constant(group, value);
  if (value instanceof Uint8Array) return isSecret(type, open) ? lengthOf(value) : shown(value);
  if (typeof value === "string" && !isKnown(type)) return CONCEALED;
  if (type === CKA.ALLOWED_MECHANISMS && Array.isArray(value)) return list(value, (one) => constant("CKM", one));
  if (typeof value === "object" && value !== null && !(value instanceof Date) && !Array.isArray(value)) {
    return template(value, depth + 1);
  }
  return shown(value);
}

/** An attribute without a name may be secret. */
const isSecret = (type: number, open: boolean): boolean =>
  SECRET.has(type) || (type === CKA.VALUE && !open) || !isKnown(type);

const isKnown = (type: number): boolean => /^CKA_[A-Z]/u.test(nameOf("CKA", type)) && type < 0x80000000;

/** Public values. */
function shown(value: unknown): string {
  if (value instanceof Uint8Array) {
    const hex = toHex(value.subarray(0, SHOWN)).toUpperCase();
    return value.length > SHOWN ? `${hex}... (${value.length} bytes)` : hex || "(0 bytes)";
  }
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "(no date)" : value.toISOString().slice(0, 10);
  if (Array.isArray(value)) return list(value, shown);
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
    case "boolean":
    case "bigint":
      return String(value);
    case "object":
      return value === null ? "NULL_PTR" : structure(value, shownPlain);
    default:
      return `(${typeof value})`;
  }
}

/** Nested structures are not shown further: the caller's own objects may contain anything. */
const shownPlain = (_name: string, value: unknown): string =>
  typeof value !== "object" || value === null || value instanceof Uint8Array || Array.isArray(value)
    ? shown(value)
    : structure(value, (_inner, of) => (typeof of === "object" ? "..." : shown(of)));

function structure(value: object, field: (name: string, of: unknown) => string): string {
  const fields = Object.entries(value).map(([name, of]: [string, unknown]) => `${name} = ${field(name, of)}`);
  return `{${fields.slice(0, SHOWN).join(", ")}}`;
}

function list(values: readonly unknown[], one: (value: unknown) => string): string {
  const told = values.slice(0, SHOWN).map(one);
  return `[${[...told, ...(values.length > SHOWN ? [`... ${values.length} in all`] : [])].join(", ")}]`;
}
