import type { FilePlace } from "../files/place.ts";
import type { DirectoryEntry, DirectoryKind } from "../syntax/directory.ts";
import type { TokenInfo } from "../syntax/token-info.ts";

/** An object that a catalogue lists. */
export interface ListedObject {
  readonly entry: DirectoryEntry;
  /** The entry as it stands on the card; empty for one that stands nowhere. */
  readonly der: Uint8Array;
}

/**
 * Takes note of something that does not parse.
 * @param place The file that it stands in, if it is one.
 */
export type Note = (where: string, problem: string, place?: FilePlace) => void;

/** What lists the objects of a card that has no ODF: a make's own way. Whatever costs exchanges is asked for once. */
export interface Catalogue {
  /**
   * The objects of one kind, without those that are not in order.
   * @throws {StatusError} if the card does not give the list.
   */
  objects(kind: DirectoryKind, note: Note): Promise<readonly ListedObject[]>;
  tokenInfo(note: Note): Promise<TokenInfo | undefined>;
  /** Has everything read again that is not in a file. */
  forget(): void;
}
