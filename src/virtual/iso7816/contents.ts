import type { KeyObject } from "node:crypto";
import type { ReferenceData } from "../reference-data.ts";
import type { Iso7816Deviation } from "./deviations.ts";
import type { DedicatedFile } from "./file.ts";

/** A make of card that the virtual one can be. */
export type MakeName = "myeid" | "iso-applet";

/** A PIN or PUK of the card, filled up as the make does. */
export interface CardPin {
  readonly data: ReferenceData;
  /** Characters of the shortest value. */
  readonly minLength: number;
  /** Reference of the PUK that unblocks it. */
  readonly puk?: number;
}

/** What a card is made of for its life. */
export interface IsoTraits {
  /** Takes commands with extended length fields. */
  readonly extended: boolean;
  readonly make: MakeName;
  /** 8 bytes. */
  readonly serial: Uint8Array;
  /** How it differs from the card that it imitates; in no way if left out. */
  readonly deviations?: readonly Iso7816Deviation[];
}

/** All that a card keeps without power. */
export interface IsoContents {
  readonly traits: IsoTraits;
  readonly masterFile: DedicatedFile;
  /** By reference, 1 to 14. */
  readonly pins: ReadonlyMap<number, CardPin>;
  /** Private keys of cards that number theirs, and keep them in no file. */
  readonly keys: Map<number, KeyObject>;
  /** Goes up by one with every change of a file. */
  changes: number;
}
