// The only sleep is between two looks; Jest's clock does not reach it.
// eslint-disable-next-line no-restricted-syntax
import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";

/** Until a condition holds. Its test has no clock of its own: if it never does, the test runs into its limit. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(LOOK_AGAIN);
}

/** Milliseconds between two looks at what another process does: a file, its state in /proc. */
const LOOK_AGAIN = 10;

/** Lets everything in this process that is ready run, and what follows from it: so many turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}
