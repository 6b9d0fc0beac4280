import { expect, test } from "@jest/globals";
import { Fairness } from "../../src/pcsc/pcscd/fairness.ts";

const fairness = (): Fairness => new Fairness(() => 0.5);

/** Transactions of 10 ms, one after the other as soon as may be, for `milliseconds`. */
function work(
  subject: Fairness,
  milliseconds: number,
  from = 0,
): { readonly gaps: readonly number[]; readonly now: number } {
  const gaps: number[] = [];
  let now = from;
  while (now < from + milliseconds) {
    const gap = subject.gapBefore(now);
    if (gap > 0) gaps.push(gap);
    now += gap + 10;
    subject.ended(now);
  }
  return { gaps, now };
}

test("alone, a program leaves the card free for a program that connects every two seconds, and not more often", () => {
  expect(work(fairness(), 1_900).gaps).toEqual([]);
  expect(work(fairness(), 6_500).gaps).toEqual([110, 110, 110]);
});

test("a program that rests leaves the card free by itself", () => {
  const subject = fairness();
  let now = 0;
  for (let rest = 0; rest < 10; rest++) {
    const run = work(subject, 1_000, now);
    expect(run.gaps).toEqual([]);
    now = run.now + 200;
  }
});

test("after a wait for another program, each transaction is followed by a gap in which others get at the card", () => {
  const subject = fairness();
  work(subject, 100);
  subject.waited(200);
  expect(work(subject, 1_000, 200).gaps.every((gap) => gap === 30)).toBe(true);
});

test("contention is forgotten after two seconds without a wait", () => {
  const subject = fairness();
  subject.waited(0);
  expect(work(subject, 500).gaps.length).toBeGreaterThan(0);
  expect(work(subject, 500, 3_000).gaps).toEqual([]);
});

test("time that has passed since the last transaction counts towards the gap", () => {
  const subject = fairness();
  subject.waited(0);
  expect(subject.gapBefore(0)).toBe(0);
  subject.ended(100);
  expect(subject.gapBefore(112)).toBe(18);
  expect(subject.gapBefore(200)).toBe(0);
});
