import { DataError, wipe } from "../../bytes/index.ts";
import { MalformedAnswerError } from "../../card/index.ts";
import { CKR } from "../constants/ckr.ts";
import { type AttributeList, sameValue } from "./template.ts";
import type { AttributeValue, Template, ValueOf } from "./kinds.ts";
import type { Unavailable } from "./errors.ts";
import { CKA } from "../constants/cka.ts";

/**
 * A value; a function that reads it (undefined: the object has none after all); or a marker for a value that is never
 * returned.
 */
type Source<Value> = Value | (() => Promise<Value | typeof SENSITIVE | undefined>) | typeof SENSITIVE;

/** Marks a value that the object has but does not return: CKR_ATTRIBUTE_SENSITIVE. */
export const SENSITIVE = Symbol("sensitive");

/** Attributes of an object in code: `{ [CKA.CLASS]: CKO.DATA, [CKA.VALUE]: () => data.value() }`. */
export type AttributeSources = { readonly [Type in CKA]?: Source<ValueOf<Type>> };

/** Attributes with their values, or the reason why there is none. */
export interface AttributeReport {
  readonly values: Map<number, AttributeValue>;
  readonly unavailable: Map<number, Unavailable>;
}

/**
 * The attributes of one object. Known values are stored; those on a card are read on request. The function that
 * provides such a value caches it.
 */
export class AttributeSet {
  /** Two arrays, because a token may have a hundred thousand objects: a Map of forty values takes 2 KB. */
  #types: readonly number[];
  readonly #sources: Source<AttributeValue>[];
  /** Returned only while CKA_SENSITIVE is false and CKA_EXTRACTABLE true. */
  readonly #secrets: ReadonlySet<number>;

  constructor(sources: AttributeSources, secrets: ReadonlySet<number> = new Set()) {
    const types = Object.keys(sources).map(Number);
    const last = LAST_TYPES[types.length];
    this.#types = last && sameTypes(last, types) ? last : types;
    LAST_TYPES[types.length] = this.#types;
    this.#sources = Object.values(sources);
    this.#secrets = secrets;
  }

  /** Replaces values. */
  change(values: ReadonlyMap<number, AttributeValue>): void {
    for (const [type, value] of values) {
      const place = this.#types.indexOf(type);
      if (place < 0) this.#types = [...this.#types, type];
      this.#sources[place < 0 ? this.#sources.length : place] = value;
    }
  }

  /** All stored values, also the sensitive ones. They are the object's own: do not change them. */
  atHand(): Map<number, AttributeValue> {
    const values = new Map<number, AttributeValue>();
    for (const [place, type] of this.#types.entries()) {
      const source = this.#sources[place];
      if (source !== undefined && typeof source !== "function" && source !== SENSITIVE) values.set(type, source);
    }
    return values;
  }

  /** Overwrites the secrets. */
  wipe(): void {
    for (const type of this.#secrets) {
      const source = this.#sources[this.#types.indexOf(type)];
      if (source instanceof Uint8Array) wipe(source);
    }
  }

  /** The source of a value, if it may be returned. */
  #source(type: number): Source<AttributeValue> | undefined {
    const place = this.#types.indexOf(type);
    if (place < 0) return undefined;
    return this.#secrets.has(type) && this.#isSensitive() ? SENSITIVE : this.#sources[place];
  }

  #isSensitive(): boolean {
    const isKnown = (type: number, value: boolean): boolean => this.#sources[this.#types.indexOf(type)] === value;
    return !isKnown(CKA.SENSITIVE, false) || !isKnown(CKA.EXTRACTABLE, true);
  }

  /** The stored value of an attribute; undefined for any other. */
  known<Type extends keyof Template>(type: Type): Template[Type] | undefined;
  known(type: number): AttributeValue | undefined {
    const source = this.#source(type);
    return typeof source === "function" || source === SENSITIVE ? undefined : source;
  }

  /** The value of an attribute; undefined if the object has none, or does not return it. */
  async value<Type extends keyof Template>(type: Type): Promise<Template[Type] | undefined>;
  async value(type: number): Promise<AttributeValue | undefined> {
    const found = await this.#find(type);
    return "value" in found ? found.value : undefined;
  }

  /** The values of all `types`, and the reason for each missing one. */
  async report(types: readonly number[]): Promise<AttributeReport> {
    const report: AttributeReport = { values: new Map(), unavailable: new Map() };
    for (const type of types) {
      const found = await this.#find(type);
      if ("value" in found) report.values.set(type, found.value);
      else report.unavailable.set(type, found);
    }
    return report;
  }

  /** False if an attribute that is known without I/O differs from the template. */
  mayMatch(wanted: AttributeList): boolean {
    for (const [type, value] of wanted) {
      const source = this.#source(type);
      if (source === undefined || source === SENSITIVE) return false;
      if (typeof source !== "function" && !sameValue(source, value)) return false;
    }
    return true;
  }

  /**
   * Whether the object has all attributes of `wanted`; attributes that must be read come last, and only until one
   * differs.
   */
  async matches(wanted: AttributeList): Promise<boolean> {
    if (!this.mayMatch(wanted)) return false;
    for (const [type, value] of wanted) {
      if (typeof this.#source(type) !== "function") continue;
      const found = await this.#find(type);
      if (!("value" in found) || !sameValue(found.value, value)) return false;
    }
    return true;
  }

  async #find(type: number): Promise<{ readonly value: AttributeValue } | Unavailable> {
    const source = this.#source(type);
    if (source === undefined) return { rv: CKR.ATTRIBUTE_TYPE_INVALID };
    if (source === SENSITIVE) return { rv: CKR.ATTRIBUTE_SENSITIVE };
    if (typeof source !== "function") return { value: source };
    try {
      const value = await source();
      if (value === SENSITIVE) return { rv: CKR.ATTRIBUTE_SENSITIVE };
      return value === undefined ? { rv: CKR.ATTRIBUTE_TYPE_INVALID } : { value };
    } catch (cause) {
      // A certificate that does not parse must not hide the others.
      if (!(cause instanceof DataError || cause instanceof MalformedAnswerError)) throw cause;
      return { rv: CKR.ATTRIBUTE_TYPE_INVALID, cause };
    }
  }
}

/** The attribute types of the last object that had this many: objects that are made one after the other mostly have the same. */
const LAST_TYPES: (readonly number[] | undefined)[] = [];

function sameTypes(some: readonly number[], others: readonly number[]): boolean {
  for (const [place, type] of some.entries()) if (type !== others[place]) return false;
  return true;
}
