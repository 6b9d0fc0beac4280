import type { ReferenceData } from "../reference-data.ts";
import type { DedicatedFile } from "./file.ts";

/** A PIN or PUK of the card, 8 bytes filled up with FF. */
export interface CardPin {
  readonly data: ReferenceData;
  /** Shortest value; the longest has 8 characters. */
  readonly minLength: number;
  /** Reference of the PUK that unblocks it. */
  readonly puk?: number;
}

/** What a card is made of for its life. */
export interface IsoTraits {
  /** Takes commands with extended length fields. */
  readonly extended: boolean;
  /** 8 bytes. */
  readonly serial: Uint8Array;
}

/** All that a card keeps without power. */
export interface IsoContents {
  readonly traits: IsoTraits;
  readonly masterFile: DedicatedFile;
  /** By reference, 1 to 14. */
  readonly pins: ReadonlyMap<number, CardPin>;
  /** Goes up by one with every change of a file. */
  changes: number;
}
