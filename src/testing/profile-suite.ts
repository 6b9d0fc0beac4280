import type { ConformanceTest } from "./check.ts";
import { ProfileBench, type ProfileSubject } from "./profile-bench.ts";
import { FAULT_TESTS } from "./profile-faults.ts";
import { PIN_TESTS } from "./profile-pins.ts";
import { READING_TESTS } from "./profile-reading.ts";

export type { ProfileSubject } from "./profile-bench.ts";

/** What every card profile does, with a card of its own and with others. */
export function profileSuite(subject: ProfileSubject): readonly ConformanceTest[] {
  return Object.entries({ ...READING_TESTS, ...PIN_TESTS, ...FAULT_TESTS }).map(([name, body]) => ({
    name,
    run: async () => {
      await using bench = await ProfileBench.with(subject);
      await body(bench, subject);
    },
  }));
}
