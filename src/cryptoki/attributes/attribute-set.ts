import { DataError, wipe } from "../../bytes/index.ts";
import { MalformedAnswerError } from "../../card/index.ts";
import { CKR } from "../constants/ckr.ts";
import { type AttributeList, sameValue } from "./template.ts";
import type { AttributeValue, Template, ValueOf } from "./kinds.ts";
import type { Unavailable } from "./errors.ts";
import { CKA } from "../constants/cka.ts";

/** A value that is there, one that must be fetched (undefined: the object has none after all), or one that is never shown. */
type Source<Value> = Value | (() => Promise<Value | typeof SENSITIVE | undefined>) | typeof SENSITIVE;

/** Stands for a value that the object has and does not show: CKR_ATTRIBUTE_SENSITIVE. */
export const SENSITIVE = Symbol("sensitive");

/** Attributes of an object as they are written down: `{ [CKA.CLASS]: CKO.DATA, [CKA.VALUE]: () => data.value() }`. */
export type AttributeSources = { readonly [Type in CKA]?: Source<ValueOf<Type>> };

/** Attributes whose values are shown, or the reason why not. */
export interface AttributeReport {
  readonly values: Map<number, AttributeValue>;
  readonly unavailable: Map<number, Unavailable>;
}

/**
 * The attributes of one object. What costs nothing is there at once; what must be read from a card is read when it is asked for.
 * Whoever provides a value sees to it that it is read once.
 */
export class AttributeSet {
  readonly #sources: Map<number, Source<AttributeValue>>;
  /** Shown only while CKA_SENSITIVE is false and CKA_EXTRACTABLE true. */
  readonly #secrets: ReadonlySet<number>;

  constructor(sources: AttributeSources, secrets: ReadonlySet<number> = new Set()) {
    this.#sources = new Map(Object.entries(sources).map(([type, source]) => [Number(type), source]));
    this.#secrets = secrets;
  }

  /** Puts new values in the places of old ones. */
  change(values: ReadonlyMap<number, AttributeValue>): void {
    for (const [type, value] of values) this.#sources.set(type, value);
  }

  /** All values that cost nothing, those that are never shown among them: the object's own, to be left as they are. */
  atHand(): Map<number, AttributeValue> {
    const values = new Map<number, AttributeValue>();
    for (const [type, source] of this.#sources) {
      if (typeof source !== "function" && source !== SENSITIVE) values.set(type, source);
    }
    return values;
  }

  /** Overwrites the secrets. */
  wipe(): void {
    for (const type of this.#secrets) {
      const source = this.#sources.get(type);
      if (source instanceof Uint8Array) wipe(source);
    }
  }

  /** Where a value comes from, as far as it may be shown. */
  #source(type: number): Source<AttributeValue> | undefined {
    const hidden = (): boolean =>
      this.#sources.get(CKA.SENSITIVE) !== false || this.#sources.get(CKA.EXTRACTABLE) !== true;
    return this.#secrets.has(type) && this.#sources.has(type) && hidden() ? SENSITIVE : this.#sources.get(type);
  }

  /** The value of an attribute that costs nothing; undefined for every other. */
  known<Type extends keyof Template>(type: Type): Template[Type] | undefined;
  known(type: number): AttributeValue | undefined {
    const source = this.#source(type);
    return typeof source === "function" || source === SENSITIVE ? undefined : source;
  }

  /** The value of an attribute; undefined if the object has none, or does not show it. */
  async value<Type extends keyof Template>(type: Type): Promise<Template[Type] | undefined>;
  async value(type: number): Promise<AttributeValue | undefined> {
    const found = await this.#find(type);
    return "value" in found ? found.value : undefined;
  }

  /** The values of all `types`, and why there is none where there is none. */
  async report(types: readonly number[]): Promise<AttributeReport> {
    const report: AttributeReport = { values: new Map(), unavailable: new Map() };
    for (const type of types) {
      const found = await this.#find(type);
      if ("value" in found) report.values.set(type, found.value);
      else report.unavailable.set(type, found);
    }
    return report;
  }

  /** Whether nothing that costs nothing speaks against the object's being one that `wanted` describes. */
  mayMatch(wanted: AttributeList): boolean {
    return wanted.every(([type, value]) => {
      const source = this.#source(type);
      if (source === undefined || source === SENSITIVE) return false;
      return typeof source === "function" || sameValue(source, value);
    });
  }

  /** Whether the object has all attributes of `wanted`; what must be read is read last, and only until one differs. */
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
      // One certificate that does not parse must not spoil the list of all the others.
      if (!(cause instanceof DataError || cause instanceof MalformedAnswerError)) throw cause;
      return { rv: CKR.ATTRIBUTE_TYPE_INVALID, cause };
    }
  }
}
