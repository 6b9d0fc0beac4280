import { AttributeSet, type AttributeSources } from "../attributes/attribute-set.ts";
import type { Rules } from "../attributes/tables/rule.ts";
import type { Token } from "../slots/token.ts";
import type { CardObject } from "../../card/index.ts";
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

/** An object of a token, or of a session with it. */
export class StoredObject {
  readonly handle: number;
  readonly token: Token;
  /** The session that it ends with; undefined for objects of the token. */
  readonly owner: object | undefined;
  #contents: ObjectContents;
  #attributes: AttributeSet;

  constructor(handle: number, token: Token, contents: ObjectContents, owner?: object) {
    this.handle = handle;
    this.token = token;
    this.owner = owner;
    this.#contents = contents;
    this.#attributes = attributesOf(contents);
  }

  get attributes(): AttributeSet {
    return this.#attributes;
  }

  get private(): boolean {
    return this.#contents.private;
  }

  get key(): KeyMaterial | undefined {
    return this.#contents.key;
  }

  get rules(): Rules | undefined {
    return this.#contents.rules;
  }

  get card(): CardObject | undefined {
    return this.#contents.card;
  }

  /** @param named Whether the search names the object, as {@link CardObject.exists}. */
  exists(named: boolean): Promise<boolean> {
    return this.#contents.exists?.(named) ?? Promise.resolve(true);
  }

  /** The object was changed: the same handle, other attributes. */
  renew(contents: ObjectContents): void {
    this.#contents = contents;
    this.#attributes = attributesOf(contents);
  }

  /** Wipes what is secret. Of a card, that is nothing. */
  end(): void {
    this.#attributes.wipe();
    const { key } = this;
    if (key?.class === "private") key.key.wipe?.();
  }
}

function attributesOf({ attributes, rules }: ObjectContents): AttributeSet {
  const secrets = [...(rules ?? [])].filter(([, { notes }]) => notes.has(7)).map(([type]) => type);
  return new AttributeSet(attributes, new Set(secrets));
}
