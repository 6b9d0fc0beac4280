import type { Values } from "../attributes/new-object.ts";
import type { AttributeList } from "../attributes/template.ts";
import { ObjectIndex } from "./object-index.ts";
import type { StoredObject } from "./stored-object.ts";

/** The session objects of one application with one token. */
export class SessionObjects {
  readonly #index = new ObjectIndex();
  readonly #byOwner = new Map<object, Set<StoredObject>>();

  add(object: StoredObject): void {
    this.#index.add(object);
    const { owner } = object;
    if (!owner) return;
    const mates = this.#byOwner.get(owner);
    if (mates) mates.add(object);
    else this.#byOwner.set(owner, new Set([object]));
  }

  change(object: StoredObject, values: Values): void {
    this.#index.remove(object);
    object.attributes.change(values);
    this.#index.add(object);
  }

  remove(object: StoredObject): void {
    this.#index.remove(object);
    const { owner } = object;
    const mates = owner && this.#byOwner.get(owner);
    mates?.delete(object);
    if (owner && mates?.size === 0) this.#byOwner.delete(owner);
  }

  has(object: StoredObject): boolean {
    return this.#index.has(object);
  }

  /** As {@link ObjectIndex.candidates}. */
  candidates(wanted: AttributeList): Iterable<StoredObject> {
    return this.#index.candidates(wanted);
  }

  all(): readonly StoredObject[] {
    return [...this.#index.candidates([])];
  }

  of(owner: object): readonly StoredObject[] {
    return [...(this.#byOwner.get(owner) ?? [])];
  }
}
