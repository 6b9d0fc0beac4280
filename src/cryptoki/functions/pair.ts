import type { NewObject } from "../attributes/new-object.ts";

/** Handles of the two halves of a key pair. */
export interface KeyPair {
  readonly publicKey: number;
  readonly privateKey: number;
}

/** The templates of both halves, checked. */
export interface PairTemplates {
  readonly publicKey: NewObject;
  readonly privateKey: NewObject;
}
