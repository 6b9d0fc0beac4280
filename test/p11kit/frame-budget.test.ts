import { describe, expect, test } from "@jest/globals";
import { FrameBudget } from "../../src/p11kit/wire/frame.ts";

const KIB = 1024;

/** Connections by name, and those that were cut off, in order. */
function connections(limit: number): {
  readonly cut: string[];
  readonly received: (name: string, bytes: number) => void;
} {
  const budget = new FrameBudget(limit);
  const cut: string[] = [];
  const all = new Map<string, (bytes: number) => void>();
  const received = (name: string, bytes: number): void => {
    const one = all.get(name) ?? budget.receiver(() => cut.push(name));
    all.set(name, one);
    one(bytes);
  };
  return { cut, received };
}

describe("the bound for half messages", () => {
  test("a long message that moves on outlives shorter ones that do not", () => {
    const { cut, received } = connections(1000 * KIB);
    for (const name of ["a", "b", "c"]) received(name, 200 * KIB);
    for (let bytes = 64 * KIB; bytes <= 900 * KIB; bytes += 64 * KIB) received("honest", bytes);
    expect(cut).toEqual(["a", "b", "c"]);
  });

  test("single bytes do not count as moving on", () => {
    const { cut, received } = connections(1000 * KIB);
    received("trickle", 300 * KIB);
    received("honest", 500 * KIB);
    received("trickle", 300 * KIB + 1);
    received("late", 300 * KIB);
    expect(cut).toEqual(["trickle"]);
  });

  test("one that holds little is spared, as old as it may be", () => {
    const { cut, received } = connections(1000 * KIB);
    received("little", 10);
    received("old", 500 * KIB);
    received("new", 600 * KIB);
    expect(cut).toEqual(["old"]);
  });

  test("where all hold little, the oldest goes", () => {
    const { cut, received } = connections(2500);
    for (const name of ["a", "b", "c"]) received(name, 1000);
    expect(cut).toEqual(["a"]);
  });

  test("a whole message counts no more, and exactly the limit is within it", () => {
    const { cut, received } = connections(1000 * KIB);
    received("whole", 900 * KIB);
    received("whole", 0);
    received("a", 500 * KIB);
    received("b", 500 * KIB);
    expect(cut).toEqual([]);
    received("b", 500 * KIB + 1);
    expect(cut).toEqual(["a"]);
  });
});
