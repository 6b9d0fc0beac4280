import type { DirectoryEntry, DirectoryKind } from "../syntax/directory.ts";
import type { TokenInfo } from "../syntax/token-info.ts";

/** An object that a catalogue lists. */
export interface ListedObject {
  readonly entry: DirectoryEntry;
  /** The entry as it stands on the card; empty for one that stands nowhere. */
  readonly der: Uint8Array;
}

/** What lists the objects of a card that has no ODF: a make's own way. Whatever costs exchanges is asked for once. */
export interface Catalogue {
  /**
   * The objects of one kind, without those that are not in order.
   * @throws {StatusError} if the card does not give the list.
   */
  objects(kind: DirectoryKind): Promise<readonly ListedObject[]>;
  tokenInfo(): Promise<TokenInfo | undefined>;
}
