/** `defect`: the card contradicts its standard or itself. `note`: allowed, but unusual, and good to know. */
export type Level = "defect" | "note";

/** Something that is looked for: the same for every card. */
export interface Check {
  /** A stable name for programs: "chuid-signature". */
  readonly name: string;
  readonly level: Level;
  /** The section of the standard that says how it should be. */
  readonly section: string;
  /** What it means for the user. */
  readonly consequence: string;
  /** What can be done. */
  readonly remedy: string;
}

/** A {@link Check} that a card did not pass. */
export interface Finding extends Check {
  /** The object, file, key or command, for people. */
  readonly where: string;
  /** What is the case. */
  readonly finding: string;
}

/** Something that could not be looked at, and why. */
export interface Unchecked {
  readonly what: string;
  readonly why: string;
}

/** What has come out of looking at a card so far. */
export class Examination {
  /** The moment at which validity is judged. */
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
