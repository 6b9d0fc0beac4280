import type { CardContents } from "../objects/contents.ts";

/** An application of ISO/IEC 7816-15 that was found on a card. */
export interface FoundApplication {
  readonly contents: CardContents;
  /** What SELECT took; undefined where the files are simply there. */
  readonly aid: Uint8Array | undefined;
  /** What the card told when it was selected so. */
  readonly selectAnswer: Uint8Array;
}
