import type { Dialect } from "./dialect.ts";
import type { PublicFileStore } from "./files/public-cache.ts";

/** What the profile takes from the program. */
export interface Pkcs15Options {
  /** Makes of cards that this package does not know, or knows otherwise: a card is compared with these first. */
  readonly dialects?: readonly Dialect[];
  /**
   * Where copies of public files are kept, so that a card that was seen before costs a few exchanges. A copy counts for one serial
   * number and one time of the last update; a program that changes the card without writing that time is not noticed.
   */
  readonly store?: PublicFileStore;
}
