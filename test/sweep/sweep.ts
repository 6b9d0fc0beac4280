import { FAULTS } from "./faults.ts";
import { randomFrom } from "./random.ts";
import { perform, type Run, withoutFaults } from "./run.ts";
import type { Subject } from "./subject.ts";

export interface Failure {
  readonly run: Run;
  readonly problem: string;
}

/** How the runs of a sweep went. */
export class Tally {
  readonly failures: Failure[] = [];
  #runs = 0;
  #reinitialised = 0;
  readonly #byFault = new Map<string, [runs: number, failures: number]>();
  readonly #byWork = new Map<string, [runs: number, failures: number]>();

  get runs(): number {
    return this.#runs;
  }

  add(run: Run, problem: string | undefined, reinitialised: boolean): void {
    this.#runs++;
    if (reinitialised) this.#reinitialised++;
    const failed = problem === undefined ? 0 : 1;
    count(this.#byFault, run.fault.name, failed);
    count(this.#byWork, `${run.subject.name}: ${run.work.name}`, failed);
    if (problem !== undefined) this.failures.push({ run, problem });
  }

  get summary(): string {
    return `${this.#runs} runs, ${this.failures.length} failed; ${this.#reinitialised} took C_Reinitialize`;
  }

  /** Counts by fault and by work. */
  report(): string {
    const table = (counts: ReadonlyMap<string, readonly [number, number]>): string[] =>
      [...counts].map(([name, [runs, failures]]) => `  ${name}: ${runs} runs, ${failures} failed`);
    return [this.summary, "by fault:", ...table(this.#byFault), "by work:", ...table(this.#byWork)].join("\n");
  }
}

function count(counts: Map<string, [number, number]>, name: string, failed: number): void {
  const [runs, failures] = counts.get(name) ?? [0, 0];
  counts.set(name, [runs + 1, failures + failed]);
}

export interface Selection {
  readonly seed: number;
  /** Of a thousand runs, so many are done, chosen at random; default: all. */
  readonly inThousand?: number;
  readonly wants?: (run: Run) => boolean;
  readonly watch?: (run: Run, problem: string | undefined) => void;
}

/** Every run of a subject: each fault at each exchange of each work. */
async function* runsOf(subject: Subject, seed: number): AsyncGenerator<Run> {
  for (const work of subject.works) {
    const { exchanges } = await withoutFaults(subject, work);
    for (let position = 1; position <= exchanges; position++) {
      for (const fault of FAULTS) yield { subject, work, fault, position, seed };
    }
  }
}

/** Runs at the same time: each waits now and then, for the end of a transaction that lingers. */
const AT_ONCE = 8;

export async function sweep(subject: Subject, { seed, inThousand = 1000, wants, watch }: Selection): Promise<Tally> {
  const tally = new Tally();
  const random = randomFrom(`${seed} ${subject.name}`);
  const runs = runsOf(subject, seed);
  const work = async (): Promise<void> => {
    for (let next = await runs.next(); next.done !== true; next = await runs.next()) {
      const run = next.value;
      if (random(1000) >= inThousand || wants?.(run) === false) continue;
      const { failure, reinitialised } = await perform(run);
      tally.add(run, failure, reinitialised);
      watch?.(run, failure);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return tally;
}

/** The arguments of `npm run sweep` that repeat one run. */
export function replay({ subject, work, fault, position, seed }: Run): string {
  return `--subject ${subject.name} --work "${work.name}" --fault "${fault.name}" --position ${position} --seed ${seed}`;
}
