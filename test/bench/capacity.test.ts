import { describe, expect, test } from "@jest/globals";
import { type Farm, safeRate, simulate } from "../../bench/capacity-model.ts";

const RUN = { requests: 60_000, seed: 20 };
const ONE: Farm = { keys: 1, copies: 1, cardTime: 200, placement: "queue" };

/** Within a share of the right value. */
function expectNear(value: number, right: number, share: number): void {
  expect(Math.abs(value / right - 1)).toBeLessThan(share);
}

/** The mean wait of M/M/c (Erlang's C formula). */
function waitOfMMc(cards: number, cardTime: number, used: number): number {
  const offered = cards * used;
  let term = 1;
  let sum = 1;
  for (let card = 1; card < cards; card++) sum += term *= offered / card;
  const busy = (term * offered) / cards / (1 - used);
  return ((busy / (sum + busy)) * cardTime) / (cards * (1 - used));
}

describe("waits as the formulas of queueing theory have them", () => {
  test.each([0.3, 0.7])("M/D/1 with %d of the time used", (used) => {
    const { wait, used: measured } = simulate(ONE, { perSecond: used * 5 }, RUN);
    expectNear(wait, (used * 200) / (2 * (1 - used)), 0.05);
    expectNear(measured, used, 0.02);
  });

  test.each([
    [2, 0.5],
    [5, 0.6],
  ])("M/M/%d with %d of the time used", (copies, used) => {
    const farm: Farm = { ...ONE, copies, spread: "exponential" };
    const { wait } = simulate(farm, { perSecond: copies * used * 5 }, RUN);
    expectNear(wait, waitOfMMc(copies, 200, used), 0.06);
  });

  test("a random card for each of n clients: n of n + m - 1 (closed product form)", () => {
    const farm: Farm = { ...ONE, copies: 6, spread: "exponential", placement: "random" };
    for (const clients of [6, 24]) expectNear(simulate(farm, { clients }, RUN).used, clients / (clients + 5), 0.02);
  });
});

test("the waits of many keys are those of one: no card helps out with a key that it does not have", () => {
  const farm: Farm = { ...ONE, keys: 20 };
  expectNear(simulate(farm, { perSecond: 20 * 0.5 * 5 }, RUN).wait, 100, 0.05);
});

test("the broker is a queue too, and bounds the rate", () => {
  const farm: Farm = { ...ONE, keys: 100, copies: 5, brokerTime: 1 };
  expectNear(simulate(farm, { clients: 5000 }, RUN).perSecond, 1000, 0.01);
});

test("hops and distance add to the answer's time and cost no card any time; a pull costs both", () => {
  const plain = simulate(ONE, { perSecond: 1 }, RUN);
  const hops = simulate({ ...ONE, hops: 7 }, { perSecond: 1 }, RUN);
  const far = simulate({ ...ONE, far: { share: 1, time: 30 } }, { perSecond: 1 }, RUN);
  expect([plain.p50, hops.p50, far.p50].map(Math.round)).toEqual([200, 207, 230]);
  expect(simulate({ ...ONE, pull: 50 }, { clients: 3 }, RUN).used).toBeCloseTo(0.8, 3);
});

describe("six cards of 50 ms, as they were measured behind a work queue", () => {
  const farm: Farm = { ...ONE, copies: 6, cardTime: 50, pull: 5 };

  test.each([6, 24])("%d clients: 90 %% of the cards' time", (clients) => {
    expect(simulate(farm, { clients }, RUN).used).toBeCloseTo(0.9, 1);
  });

  test("6 clients wait about 54 ms", () => {
    expect(Math.abs(simulate(farm, { clients: 6 }, RUN).p50 - 54)).toBeLessThan(2);
  });

  test("a random card for each request: about 57 %", () => {
    const used = simulate({ ...farm, placement: "random", pull: 0, hops: 5 }, { clients: 6 }, RUN).used;
    expect(used).toBeGreaterThan(0.5);
    expect(used).toBeLessThan(0.64);
  });
});

test("the safe rate keeps its limit, and 3 % more does not", () => {
  const farm: Farm = { ...ONE, copies: 5 };
  const run = { requests: 20_000, seed: 20 };
  const rate = safeRate(farm, 600, run);
  expect(simulate(farm, { perSecond: rate }, run).p99).toBeLessThanOrEqual(600);
  expect(simulate(farm, { perSecond: rate * 1.03 }, run).p99).toBeGreaterThan(600);
});

test("the same seed gives the same outcome, another a different one", () => {
  const outcome = simulate(ONE, { perSecond: 3 }, { requests: 1000, seed: 1 });
  expect(simulate(ONE, { perSecond: 3 }, { requests: 1000, seed: 1 })).toEqual(outcome);
  expect(simulate(ONE, { perSecond: 3 }, { requests: 1000, seed: 2 })).not.toEqual(outcome);
});
