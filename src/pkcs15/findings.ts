/** Something on the card that is not as it should be, and what it cost: an object, never the card. */
export interface Finding {
  /** Where: "PrKDF 3F00/5015/4402, object at 113". */
  readonly where: string;
  readonly problem: string;
}

/** A card with more mistakes than this is wrong from beginning to end. */
const MAX_FINDINGS = 200;

/** What was found wrong so far, each thing once. */
export class Findings {
  readonly #found = new Map<string, Finding>();

  add(where: string, problem: string): void {
    if (this.#found.size < MAX_FINDINGS) this.#found.set(`${where}\n${problem}`, { where, problem });
  }

  list(): readonly Finding[] {
    return [...this.#found.values()];
  }
}
