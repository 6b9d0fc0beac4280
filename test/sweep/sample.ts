import { describe, expect, test } from "@jest/globals";
import { SeededRandom, shareOf } from "../seeded-random.ts";
import { SUBJECTS } from "./subjects.ts";
import { replay, sweep } from "./sweep.ts";

/** Of a thousand runs, so many are done. `npm run sweep` does all. */
const IN_THOUSAND = shareOf(25);
/** Of the failures, so many are shown. */
const SHOWN = 20;
/** A machine with other work to do may take long. */
const PATIENCE = 1_200_000;

/** Tests some of all runs of these subjects, other ones each time; TEST_SEED repeats them, TEST_SHARE makes them more or fewer. */
export function testSample(...names: readonly (keyof typeof SUBJECTS)[]): void {
  const { seed } = new SeededRandom();
  describe(`the fault sweep: ${IN_THOUSAND} of 1000 runs, TEST_SEED=${seed}`, () => {
    test.each(names)(
      "%s: a fault harms nothing but the present call",
      async (name) => {
        const tally = await sweep(await SUBJECTS[name](), { seed, inThousand: IN_THOUSAND });
        console.log(`${name}, TEST_SEED=${seed}: ${tally.summary}`);
        expect(tally.runs).toBeGreaterThan(0);
        const failures = tally.failures.map(({ run, problem }) => `npm run sweep -- ${replay(run)}\n  ${problem}`);
        expect(failures.slice(0, SHOWN)).toEqual([]);
      },
      PATIENCE,
    );
  });
}
