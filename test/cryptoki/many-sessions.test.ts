import { expect, test } from "@jest/globals";
import { CKF } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { rig } from "./rig.ts";

/** What iterators of sets, maps and arrays have in common: each step of a walk is a call of their `next`. */
const ITERATORS = [new Set<unknown>(), new Map<unknown, unknown>(), [] as unknown[]].map(
  (collection) => Object.getPrototypeOf(collection[Symbol.iterator]()) as { next: () => IteratorResult<unknown> },
);

/** How many steps over sets, maps and arrays `work` takes. */
async function steps(work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const originals = ITERATORS.map((iterator) => iterator.next);
  for (const [index, iterator] of ITERATORS.entries()) {
    const original = originals[index];
    iterator.next = function (this: unknown): IteratorResult<unknown> {
      count++;
      return Reflect.apply(original as () => IteratorResult<unknown>, this, []);
    };
  }
  try {
    await work();
  } finally {
    ITERATORS.forEach((iterator, index) => {
      const original = originals[index];
      if (original) iterator.next = original;
    });
  }
  return count;
}

test("C_CloseSession takes as many steps with 5,000 open sessions as with ten", async () => {
  await using local = await rig(await testCard());
  const { cryptoki } = local;
  const slot = await local.slot();
  const open = async (count: number): Promise<number[]> => {
    const sessions: number[] = [];
    for (let left = count; left > 0; left--) sessions.push(await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION));
    return sessions;
  };
  const [, early = 0] = await open(10);
  const few = await steps(() => cryptoki.C_CloseSession(early));
  const many = await open(5_000);
  for (const session of [many[0], many[2_500], many.at(-1)]) {
    expect(await steps(() => cryptoki.C_CloseSession(session ?? 0))).toBeLessThanOrEqual(few);
  }
  // The steps are seen: closing all takes one for each session at least.
  expect(await steps(() => cryptoki.C_CloseAllSessions(slot))).toBeGreaterThan(5_000);
});
