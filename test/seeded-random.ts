import { randomInt } from "node:crypto";

/** The variable of the environment that replays a random test. */
const SEED = "TEST_SEED";

/** How much of their usual work random tests do: 0.1 is a tenth. The variable TEST_SHARE of the environment; default: 1. */
const SHARE = Number(process.env["TEST_SHARE"] ?? 1);

/** This share of a number of runs; at least one. */
export const shareOf = (runs: number): number => Math.max(1, Math.round(runs * SHARE));

/** Random numbers that the same seed gives again. For tests: it is no source of keys. */
export class SeededRandom {
  readonly seed: number;
  #state: number;

  /** @param seed 32 bits; default: TEST_SEED of the environment, otherwise a new one. */
  constructor(seed: number = givenSeed() ?? randomInt(2 ** 32)) {
    this.seed = seed;
    this.#state = seed;
  }

  /** An integer from 0 to `limit` - 1. */
  below(limit: number): number {
    return Math.floor(this.#next() * limit);
  }

  /** True in `share` of all cases, 0 to 1. */
  chance(share: number): boolean {
    return this.#next() < share;
  }

  pick<T>(choices: readonly T[]): T {
    const choice = choices[this.below(choices.length)];
    if (choice === undefined) throw new Error("nothing to choose from");
    return choice;
  }

  /** Mulberry32: 32 bits of state are enough to choose what a test does next. */
  #next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** TEST_SEED of the environment. */
export function givenSeed(): number | undefined {
  const text = process.env[SEED];
  return text === undefined || text === "" ? undefined : Number(text);
}

/** An error that names the seed which makes a random test fail again. */
export function withSeed({ seed }: SeededRandom, error: unknown): Error {
  return new Error(`fails again with ${SEED}=${seed}: ${String(error)}`, { cause: error });
}

/** Writes what a random test did, and the seed that does it again, past Jest's frames. */
export function report(test: string, { seed }: SeededRandom, counts: Readonly<Record<string, number>> = {}): void {
  const parts = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  process.stderr.write(`${test}: ${SEED}=${seed}${parts.length > 0 ? `; ${parts.join(", ")}` : ""}\n`);
}
