import type { Card, CardFinding } from "../../card/index.ts";
import type { FilePath } from "../files/paths.ts";
import type { DirectoryEntry, DirectoryKind } from "../syntax/directory.ts";
import type { TokenInfo } from "../syntax/token-info.ts";

/** An object that a catalogue lists. */
export interface ListedObject {
  readonly entry: DirectoryEntry;
  /** The entry as it is on the card; empty for an object without one. */
  readonly der: Uint8Array;
  /** The file with the entry, or with the value of an object without one. */
  readonly file?: FilePath;
}

/**
 * Reports something that does not parse.
 * @param place Its file, if any.
 */
export type Note = (where: string, problem: string, place?: FilePath) => void;

/** Lists the objects of a card without an ODF, in its make's own way. Results that cost exchanges are cached. */
export interface Catalogue {
  /**
   * The objects of one kind, without malformed ones.
   * @throws {StatusError} if the card does not return the list.
   */
  objects(kind: DirectoryKind, note: Note): Promise<readonly ListedObject[]>;
  tokenInfo(note: Note): Promise<TokenInfo | undefined>;
  /** Forgets everything that is not in a file. */
  forget(): void;
}

/** Limit for the findings of one card. */
const MAX_FINDINGS = 200;

/** The findings on a card so far, each once. */
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
