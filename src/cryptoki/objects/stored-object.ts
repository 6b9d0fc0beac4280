import type { CardObject, PresenceSearch } from "../../card/index.ts";
import type { AttributeSet } from "../attributes/attribute-set.ts";
import type { Rules } from "../attributes/tables.ts";
import type { Token } from "../slots/token.ts";
import type { KeyMaterial, ObjectCopy } from "./object-copy.ts";

/** An object of a token, or of a session with it, with one application's handle. */
export class StoredObject {
  readonly handle: number;
  readonly token: Token;
  /** The contents: for a token's object, shared with the other applications. */
  readonly copy: ObjectCopy;
  /** The session that it ends with; undefined for objects of the token. */
  readonly owner: object | undefined;
  /** Whether the application created it on the card, during the present login. */
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

  /** Wipes secrets in memory; a card's object has none. */
  end(): void {
    this.copy.end();
    this.attributes.wipe();
    const { key } = this;
    if (key?.class === "private") key.key.wipe?.();
  }
}
