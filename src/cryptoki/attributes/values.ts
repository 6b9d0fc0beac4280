import type { CKA } from "../constants/cka.ts";
import type { ValueOf } from "./kinds.ts";
import type { Values } from "./new-object.ts";

/** Attributes whose values are of a kind. */
type OfKind<Kind> = { [Type in CKA]: ValueOf<Type> extends Kind ? Type : never }[CKA];

/** The value of an attribute of bytes; empty if there is none. */
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

/** Whether a flag is there and true. */
export function isTrue(values: Values, type: OfKind<boolean>): boolean {
  return values.get(type) === true;
}
