import { AttributeSet, type AttributeSources } from "../attributes/attribute-set.ts";
import type { Token } from "../slots/token.ts";
import type { KeyMaterial } from "./key.ts";

/** What an object is, wherever it is kept. */
export interface ObjectContents {
  readonly attributes: AttributeSources;
  /** CKA_PRIVATE. */
  readonly private: boolean;
  readonly key?: KeyMaterial;
  /** Whether it really is there, as {@link CardObject.exists}; it is, if this is left out. */
  readonly exists?: (named: boolean) => Promise<boolean>;
}

/** An object of a token, or of a session with it. */
export class StoredObject {
  readonly handle: number;
  readonly token: Token;
  readonly attributes: AttributeSet;
  readonly private: boolean;
  readonly key: KeyMaterial | undefined;
  /** The session that it ends with; undefined for objects of the token. */
  readonly owner: object | undefined;
  readonly #exists: ((named: boolean) => Promise<boolean>) | undefined;

  constructor(handle: number, token: Token, contents: ObjectContents, owner?: object) {
    this.handle = handle;
    this.token = token;
    this.attributes = new AttributeSet(contents.attributes);
    this.private = contents.private;
    this.key = contents.key;
    this.owner = owner;
    this.#exists = contents.exists;
  }

  /** @param named Whether the search names the object, as {@link CardObject.exists}. */
  exists(named: boolean): Promise<boolean> {
    return this.#exists?.(named) ?? Promise.resolve(true);
  }
}
