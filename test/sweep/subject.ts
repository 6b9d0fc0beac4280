import type { KeyObject } from "node:crypto";
import type { CardProfile } from "../../src/card/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import type { Work } from "./work.ts";

/** A key of the card, and both halves of it. */
export interface TestedKey {
  /** CKA_ID. */
  readonly id: Uint8Array;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** The hash that it signs with. */
  readonly hash: "sha1" | "sha256";
}

/** A card of which the test knows what no program does. */
export interface SweptCard extends InProcessCard {
  /** The user's PIN as it is now. */
  pin(): string;
  /** Tries that the user's PIN has left. */
  tries(): number;
}

/** A kind of card to sweep, and what is done with it. */
export interface Subject {
  readonly name: string;
  readonly profiles: readonly CardProfile[];
  /** The security officer's PIN. */
  readonly officerPin?: string;
  readonly keys: {
    readonly sign: readonly TestedKey[];
    readonly decrypt?: TestedKey;
    readonly derive?: TestedKey;
  };
  readonly works: readonly Work[];
  /** A new card, which has the same contents each time. */
  make(): SweptCard;
}
