import type { AuthenticatedUse, CardObject, KeyPrimitive, PresenceSearch } from "../../card/index.ts";
import type { KeyShape, PublicKey } from "../../crypto/index.ts";
import { AttributeSet, type AttributeSources } from "../attributes/attribute-set.ts";
import { FOOTNOTE, type Rules } from "../attributes/tables.ts";

/** What computes with a private key: a card, which has the key and shows it to nobody, or this process. */
export interface PrivateKey {
  /** Type and size, which a directory of the card may tell at once. */
  shape(): Promise<KeyShape>;
  /** Its public half. Read from the card once. */
  publicKey(): Promise<PublicKey>;
  /** What is computed; the paddings and hashes around it are the mechanisms'. */
  readonly primitives: readonly KeyPrimitive[];
  /** A user must be logged in. */
  readonly needsLogin: boolean;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is verified before each use. */
  readonly alwaysAuthenticate: boolean;
  use(primitive: KeyPrimitive, input: Uint8Array, signal?: AbortSignal): Promise<Uint8Array>;
  /** Verifies the PIN for one use, and keeps the card for it; left out where a login by itself is as good ({@link CardToken.authenticate}). */
  authenticate?(pin: Uint8Array | null, signal?: AbortSignal): Promise<AuthenticatedUse>;
  /** Overwrites the key, where it is in this process. */
  wipe?(): void;
}

/** What a key object holds besides its attributes. */
export type KeyMaterial =
  | { readonly class: "private"; readonly key: PrivateKey }
  | { readonly class: "public"; readonly publicKey: () => Promise<PublicKey> }
  | { readonly class: "secret"; readonly value: Uint8Array };

/** What an object is, wherever it is kept. */
export interface ObjectContents {
  readonly attributes: AttributeSources;
  /** CKA_PRIVATE. */
  readonly private: boolean;
  readonly key?: KeyMaterial;
  /** Whether it really is there, as {@link CardObject.isPresent}; it is, if this is left out. */
  readonly isPresent?: (search: PresenceSearch) => Promise<boolean>;
  /** What may be changed, of an object of a session. All of its values are at hand. */
  readonly rules?: Rules;
  /** What the card knows it as. */
  readonly card?: CardObject;
}

/** Whether an object is still the one that was found: shared by all that work with it. */
export interface ObjectLife {
  /** The object is gone: another one may have its place. */
  ended: boolean;
}

/** The contents of an object, with its attributes. All applications that know an object of a token share one. */
export class ObjectCopy {
  #contents: ObjectContents;
  #attributes: AttributeSet;
  readonly life: ObjectLife;

  constructor(contents: ObjectContents, life: ObjectLife = { ended: false }) {
    this.life = life;
    this.#contents = contents;
    this.#attributes = attributesOf(contents);
  }

  get contents(): ObjectContents {
    return this.#contents;
  }

  get attributes(): AttributeSet {
    return this.#attributes;
  }

  end(): void {
    this.life.ended = true;
  }

  /** The object is the same, and what is known of it is not. */
  renew(contents: ObjectContents): void {
    this.#contents = contents;
    this.#attributes = attributesOf(contents);
  }
}

function attributesOf({ attributes, rules }: ObjectContents): AttributeSet {
  const secrets = [...(rules ?? [])].filter(([, { notes }]) => notes.has(FOOTNOTE.SECRET)).map(([type]) => type);
  return new AttributeSet(attributes, new Set(secrets));
}
