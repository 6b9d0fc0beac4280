import { toHex } from "../../bytes/index.ts";
import type { AttributeValue } from "../attributes/kinds.ts";
import type { AttributeList } from "../attributes/template.ts";
import { CKA } from "../constants/cka.ts";
import type { StoredObject } from "./stored-object.ts";

/** Attributes by which applications look for objects. */
const INDEXED = [
  CKA.CLASS,
  CKA.KEY_TYPE,
  CKA.CERTIFICATE_TYPE,
  CKA.UNIQUE_ID,
  CKA.ID,
  CKA.LABEL,
  CKA.APPLICATION,
  CKA.OBJECT_ID,
  CKA.SUBJECT,
  CKA.ISSUER,
  CKA.SERIAL_NUMBER,
] as const;
const IS_INDEXED: ReadonlySet<number> = new Set(INDEXED);

/**
 * Objects by the values of their attributes, so that a search costs as much as there are objects with the rarest value that it
 * names, and not as much as there are objects. All values of the objects must be at hand.
 */
export class ObjectIndex {
  readonly #all = new Set<StoredObject>();
  readonly #byValue = new Map<string, Set<StoredObject>>();

  has(object: StoredObject): boolean {
    return this.#all.has(object);
  }

  add(object: StoredObject): void {
    this.#all.add(object);
    for (const key of keysOf(object)) {
      const same = this.#byValue.get(key);
      if (same) same.add(object);
      else this.#byValue.set(key, new Set([object]));
    }
  }

  /** To be called before the object's attributes change, too. */
  remove(object: StoredObject): void {
    this.#all.delete(object);
    for (const key of keysOf(object)) {
      const same = this.#byValue.get(key);
      same?.delete(object);
      if (same?.size === 0) this.#byValue.delete(key);
    }
  }

  /** All objects that may match, in the order in which they were added; others may be among them. */
  candidates(wanted: AttributeList): Iterable<StoredObject> {
    let fewest: ReadonlySet<StoredObject> = this.#all;
    for (const [type, value] of wanted) {
      if (!IS_INDEXED.has(type)) continue;
      const same = this.#byValue.get(keyOf(type, value));
      if (!same) return [];
      if (same.size < fewest.size) fewest = same;
    }
    return fewest;
  }
}

function* keysOf({ attributes }: StoredObject): Generator<string> {
  for (const type of INDEXED) {
    const value = attributes.known(type);
    if (value !== undefined) yield keyOf(type, value);
  }
}

/** Equal for equal values of an attribute, and for no others: each is a number, or text, or bytes. */
function keyOf(type: number, value: AttributeValue): string {
  if (value instanceof Uint8Array) return `${type}:${toHex(value)}`;
  return typeof value === "object" ? `${type}` : `${type}:${value}`;
}
