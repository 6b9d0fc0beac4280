import type { CallOptions } from "../../async/index.ts";
import type { AuthenticatedUse, CardObject, KeyPrimitive, PresenceSearch } from "../../card/index.ts";
import type { HashName, KeyShape, PublicKey } from "../../crypto/index.ts";
import type { MessageSigner } from "../mechanisms/family.ts";
import { AttributeSet, type AttributeSources } from "../attributes/attribute-set.ts";
import { FOOTNOTE, type Rules } from "../attributes/tables.ts";

/** The holder of a private key: a card, which never reveals it, or this process. */
export interface PrivateKey {
  /** Type and size, perhaps from a directory of the card. */
  shape(): Promise<KeyShape>;
  /** Its public half. Read from the card once. */
  publicKey(): Promise<PublicKey>;
  /** The raw operations; mechanisms add paddings and hashes. */
  readonly primitives: readonly KeyPrimitive[];
  /** Whether a user must be logged in. */
  readonly needsLogin: boolean;
  /** CKA_ALWAYS_AUTHENTICATE: the PIN is verified before each use. */
  readonly alwaysAuthenticate: boolean;
  use(primitive: KeyPrimitive, input: Uint8Array, options?: CallOptions): Promise<Uint8Array>;
  /** Verifies the PIN for one use, and keeps the card for it; left out where a login by itself is as good ({@link CardToken.authenticate}). */
  authenticate?(pin: Uint8Array | null, options?: CallOptions): Promise<AuthenticatedUse>;
  /** ECDSA over a message that the host hashes; undefined if the key signs digests only. */
  ecdsaSigner?(hash: HashName): MessageSigner | undefined;
  /** Overwrites the key, where it is in this process. */
  wipe?(): void;
}

/** The contents of a key object besides its attributes. */
export type KeyMaterial =
  | { readonly class: "private"; readonly key: PrivateKey }
  | { readonly class: "public"; readonly publicKey: () => Promise<PublicKey> }
  | { readonly class: "secret"; readonly value: Uint8Array };

/** An object, wherever it is stored. */
export interface ObjectContents {
  readonly attributes: AttributeSources;
  /** CKA_PRIVATE. */
  readonly private: boolean;
  readonly key?: KeyMaterial;
  /** Whether it really exists, as {@link CardObject.isPresent}; true if absent. */
  readonly isPresent?: (search: PresenceSearch) => Promise<boolean>;
  /** A session object. All of its values are in memory. */
  readonly rules?: Rules;
  /** The card's reference for it. */
  readonly card?: CardObject;
}

/** Whether an object is still the one that was found: shared by all code that works with it. */
export interface ObjectLife {
  /** Ends the object: another one may replace it. */
  ended: boolean;
}

/** The contents of an object, with its attributes. All applications share one for an object of a token. */
export class ObjectCopy {
  /** What there is beside the attributes. Replaced by {@link renew}, as the attributes are. */
  contents: Omit<ObjectContents, "attributes">;
  attributes: AttributeSet;
  readonly life: ObjectLife;

  constructor(contents: ObjectContents, life: ObjectLife = { ended: false }) {
    const { attributes, ...others } = contents;
    this.life = life;
    this.contents = others;
    this.attributes = new AttributeSet(attributes, secretsOf(others.rules));
  }

  end(): void {
    this.life.ended = true;
  }

  /** Forgets the contents; the object stays the same. */
  renew({ attributes, ...others }: ObjectContents): void {
    this.contents = others;
    this.attributes = new AttributeSet(attributes, secretsOf(others.rules));
  }
}

/** One set for all objects with the same rules. */
const SECRETS = new WeakMap<Rules, ReadonlySet<number>>();
const NO_SECRETS: ReadonlySet<number> = new Set();

function secretsOf(rules: Rules | undefined): ReadonlySet<number> {
  if (!rules) return NO_SECRETS;
  let secrets = SECRETS.get(rules);
  if (!secrets) {
    secrets = new Set([...rules].filter(([, { notes }]) => notes.has(FOOTNOTE.SECRET)).map(([type]) => type));
    SECRETS.set(rules, secrets);
  }
  return secrets;
}
