import type { KeyObject } from "node:crypto";
import type { ManagementAlgorithm } from "./management-key.ts";
import type { ReferenceData } from "../reference-data.ts";
import type { PivDeviation } from "./deviations.ts";
import type { PinPolicy, TouchPolicy } from "./slot.ts";

/** A private key on the card. */
export interface PivKey {
  readonly privateKey: KeyObject;
  readonly pinPolicy: PinPolicy;
  readonly touchPolicy: TouchPolicy;
  /** Made on the card, or put there. */
  readonly origin: "generated" | "imported";
}

/** The key that attests others, F9. */
export interface AttestationKey {
  readonly privateKey: KeyObject;
  /** Certificate of the authority that issued the key's own, DER. */
  readonly root: Uint8Array;
}

/** The card management key, 9B. */
export interface ManagementKey {
  readonly algorithm: ManagementAlgorithm;
  readonly value: Uint8Array;
}

/** What a card is made of for its life, apart from what it holds. */
export interface PivTraits {
  /** Takes commands with extended length fields. */
  readonly extended: boolean;
  /** PIV is the application selected after reset (SP 800-73-4 part 1 section 2.2). */
  readonly defaultSelected: boolean;
  /** Also answers the commands that Yubico adds to PIV. */
  readonly yubico: boolean;
  /** Serial number for the Yubico command. */
  readonly serial: number;
}

/** All that a card keeps without power. */
export interface PivContents {
  readonly traits: PivTraits;
  readonly deviations: ReadonlySet<PivDeviation>;
  readonly pin: ReferenceData;
  /** Key reference 00, used where the discovery object says so. */
  readonly globalPin: ReferenceData;
  readonly puk: ReferenceData;
  managementKey: ManagementKey;
  /** Private keys by key reference. */
  readonly keys: Map<number, PivKey>;
  /** On a card with Yubico's commands. */
  readonly attestationKey?: AttestationKey;
  /** Contents of data objects by tag, without the outer 53, 7E or 7F61. */
  readonly objects: Map<number, Uint8Array>;
}
