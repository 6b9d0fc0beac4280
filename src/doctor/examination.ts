/** `defect`: the card contradicts its standard or itself. `note`: allowed, but unusual. */
export type Level = "defect" | "note";

/** A check, the same for every card. */
export interface Check {
  /** A stable name for programs: "chuid-signature". */
  readonly name: string;
  readonly level: Level;
  /** The section of the standard with the requirement. */
  readonly section: string;
  /** The consequence for the user. */
  readonly consequence: string;
  /** What to do about it. */
  readonly remedy: string;
}

/** A {@link Check} that a card did not pass. */
export interface Finding extends Check {
  /** The object, file, key or command, for people. */
  readonly where: string;
  /** The observation. */
  readonly finding: string;
}

/** A check that could not be made, and why. */
export interface Unchecked {
  readonly what: string;
  readonly why: string;
}

/** The results of an examination so far. */
export class Examination {
  /** The time for which validity is checked. */
  readonly at: Date;
  readonly #findings: Finding[] = [];
  readonly #unchecked: Unchecked[] = [];

  constructor(at: Date) {
    this.at = at;
  }

  found(check: Check, where: string, finding: string): void {
    this.#findings.push({ ...check, where, finding });
  }

  unchecked(what: string, why: string): void {
    this.#unchecked.push({ what, why });
  }

  /** Defects before notes; within those in the order of the examination. */
  get findings(): readonly Finding[] {
    const of = (level: Level): Finding[] => this.#findings.filter((finding) => finding.level === level);
    return [...of("defect"), ...of("note")];
  }

  get notLookedAt(): readonly Unchecked[] {
    return this.#unchecked;
  }
}
