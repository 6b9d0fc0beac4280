import type { CardObject, PresenceSearch } from "../../card/index.ts";
import type { AttributeSet } from "../attributes/attribute-set.ts";
import type { Rules } from "../attributes/tables.ts";
import type { Token } from "../slots/token.ts";
import type { KeyMaterial, ObjectCopy } from "./object-copy.ts";

/** An object of a token, or of a session with it, under the handle that one application has for it. */
export class StoredObject {
  readonly handle: number;
  readonly token: Token;
  /** What the object is: of a token's object, shared with the other applications. */
  readonly copy: ObjectCopy;
  /** The session that it ends with; undefined for objects of the token. */
  readonly owner: object | undefined;
  /** The application made it on the card, in the login that lasts. */
  made = false;

  constructor(handle: number, token: Token, copy: ObjectCopy, owner?: object) {
    this.handle = handle;
    this.token = token;
    this.copy = copy;
    this.owner = owner;
  }

  get attributes(): AttributeSet {
    return this.copy.attributes;
  }

  get private(): boolean {
    return this.copy.contents.private;
  }

  get key(): KeyMaterial | undefined {
    return this.copy.contents.key;
  }

  get rules(): Rules | undefined {
    return this.copy.contents.rules;
  }

  get card(): CardObject | undefined {
    return this.copy.contents.card;
  }

  /** As {@link CardObject.isPresent}. */
  isPresent(search: PresenceSearch): Promise<boolean> {
    return this.copy.contents.isPresent?.(search) ?? Promise.resolve(true);
  }

  /** Wipes what is secret. Of a card, that is nothing. */
  end(): void {
    this.copy.end();
    this.attributes.wipe();
    const { key } = this;
    if (key?.class === "private") key.key.wipe?.();
  }
}
