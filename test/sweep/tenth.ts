import { describe, expect, test } from "@jest/globals";
import { SUBJECTS } from "./subjects.ts";
import { replay, sweep } from "./sweep.ts";

const ONE_IN = 10;
/** Of the failures, so many are shown. */
const SHOWN = 20;
/** A machine with other work to do may take long. */
const PATIENCE = 1_200_000;

/** Tests a tenth of all runs of these subjects, another one each time; SWEEP_SEED=n repeats one. */
export function testSeededTenth(...names: readonly (keyof typeof SUBJECTS)[]): void {
  const seed = Number(process.env["SWEEP_SEED"] ?? Date.now() % 1_000_000);
  describe(`a tenth of the fault sweep, SWEEP_SEED=${seed}`, () => {
    test.each(names)(
      "%s: a fault harms nothing but the present call",
      async (name) => {
        const tally = await sweep(await SUBJECTS[name](), { seed, oneIn: ONE_IN });
        console.log(`${name}, SWEEP_SEED=${seed}: ${tally.report()}`);
        expect(tally.runs).toBeGreaterThan(0);
        const failures = tally.failures.map(({ run, problem }) => `npm run sweep -- ${replay(run)}\n  ${problem}`);
        expect(failures.slice(0, SHOWN)).toEqual([]);
      },
      PATIENCE,
    );
  });
}
