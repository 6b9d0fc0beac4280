/**
 * `npm run sweep`: each fault at each exchange of each work on each kind of card; prints counts by fault and work, and how to
 * repeat each run that failed. Options narrow it down:
 *
 *   npm run sweep -- --subject piv --work "sign, RSA" --fault 6F00 --position 2 --seed 1 --in-thousand 100
 */
import { parseArgs } from "node:util";
import { SUBJECTS } from "./subjects.ts";
import { replay, sweep } from "./sweep.ts";

const { values } = parseArgs({
  options: {
    subject: { type: "string" },
    work: { type: "string" },
    fault: { type: "string" },
    position: { type: "string" },
    seed: { type: "string" },
    "in-thousand": { type: "string" },
    quiet: { type: "boolean", default: false },
  },
});
const seed = Number(values.seed ?? 1);
let failed = 0;
for (const [name, make] of Object.entries(SUBJECTS)) {
  if (values.subject !== undefined && values.subject !== name) continue;
  const began = performance.now();
  const tally = await sweep(await make(), {
    seed,
    inThousand: Number(values["in-thousand"] ?? 1000),
    wants: ({ work, fault, position }) =>
      (values.work === undefined || values.work === work.name) &&
      (values.fault === undefined || values.fault === fault.name) &&
      (values.position === undefined || Number(values.position) === position),
    watch: (run, problem) => {
      if (problem !== undefined && !values.quiet) console.log(`${replay(run)}\n    ${problem}`);
    },
  });
  console.log(`${name} (seed ${seed}): ${tally.report()}`);
  console.log(`${Math.round(performance.now() - began)} ms\n`);
  failed += tally.failures.length;
}
process.exitCode = failed === 0 ? 0 : 1;
