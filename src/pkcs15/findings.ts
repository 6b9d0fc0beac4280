import type { CardFinding } from "../card/index.ts";

/** A card with more mistakes than this is wrong from beginning to end. */
const MAX_FINDINGS = 200;

/** What was found wrong so far, each thing once. */
export class Findings {
  readonly #found = new Map<string, CardFinding>();

  add(where: string, problem: string): void {
    if (this.#found.size < MAX_FINDINGS) this.#found.set(`${where}\n${problem}`, { where, problem });
  }

  list(): readonly CardFinding[] {
    return [...this.#found.values()];
  }
}
