import type { Card, CardFinding } from "../../card/index.ts";

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
