import type { Card, CardFinding } from "../../card/index.ts";
import type { FilePath } from "../files/paths.ts";
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
export type Note = (where: string, problem: string, place?: FilePath) => void;

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

/** A card with more mistakes than this is wrong from beginning to end. */
const MAX_FINDINGS = 200;

/** What was found wrong on a card so far, each thing once. */
export class Findings {
  readonly #card: Card;
  readonly #found = new Map<string, CardFinding>();

  constructor(card: Card) {
    this.#card = card;
  }

  add(where: string, problem: string): void {
    const key = `${where}\n${problem}`;
    if (this.#found.has(key) || this.#found.size === MAX_FINDINGS) return;
    const finding = { where, problem };
    this.#found.set(key, finding);
    this.#card.report(finding);
  }

  list(): readonly CardFinding[] {
    return [...this.#found.values()];
  }
}
