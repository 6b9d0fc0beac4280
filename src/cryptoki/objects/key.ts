import type { AuthenticatedUse, KeyPrimitive } from "../../card/index.ts";
import type { KeyShape, PublicKey } from "../../crypto/index.ts";

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
