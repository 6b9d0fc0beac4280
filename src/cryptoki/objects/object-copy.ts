import type { CardObject } from "../../card/index.ts";
import { AttributeSet, type AttributeSources } from "../attributes/attribute-set.ts";
import type { Rules } from "../attributes/tables/rule.ts";
import type { KeyMaterial } from "./key.ts";

/** What an object is, wherever it is kept. */
export interface ObjectContents {
  readonly attributes: AttributeSources;
  /** CKA_PRIVATE. */
  readonly private: boolean;
  readonly key?: KeyMaterial;
  /** Whether it really is there, as {@link CardObject.exists}; it is, if this is left out. */
  readonly exists?: (named: boolean) => Promise<boolean>;
  /** What may be changed, of an object of a session. All of its values are at hand. */
  readonly rules?: Rules;
  /** What the card knows it as. */
  readonly card?: CardObject;
}

/** The contents of an object, with its attributes. All applications that know an object of a token share one. */
export class ObjectCopy {
  #contents: ObjectContents;
  #attributes: AttributeSet;
  #ended = false;

  constructor(contents: ObjectContents) {
    this.#contents = contents;
    this.#attributes = attributesOf(contents);
  }

  get contents(): ObjectContents {
    return this.#contents;
  }

  get attributes(): AttributeSet {
    return this.#attributes;
  }

  /** The object is gone: another one may have its place. */
  get ended(): boolean {
    return this.#ended;
  }

  end(): void {
    this.#ended = true;
  }

  /** The object is the same, and what is known of it is not. */
  renew(contents: ObjectContents): void {
    this.#contents = contents;
    this.#attributes = attributesOf(contents);
  }
}

function attributesOf({ attributes, rules }: ObjectContents): AttributeSet {
  const secrets = [...(rules ?? [])].filter(([, { notes }]) => notes.has(7)).map(([type]) => type);
  return new AttributeSet(attributes, new Set(secrets));
}
