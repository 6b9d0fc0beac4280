import { describe, expect, test } from "@jest/globals";
import { DataError } from "../../src/bytes/index.ts";
import { MalformedAnswerError, StatusError } from "../../src/card/index.ts";
import { confirmedAnswer, isAnswer, isNotFound, readTwiceIfMalformed, unlessRefused } from "../../src/card/errors.ts";

const status = (sw: number): StatusError => new StatusError("READ BINARY", sw);

/** Gives one outcome after the other: what is an error is thrown. */
function outcomes<T>(...given: readonly (T | Error)[]): {
  readonly next: () => Promise<T>;
  readonly calls: () => number;
} {
  let calls = 0;
  return {
    next: () => {
      const one = given[Math.min(calls++, given.length - 1)];
      return one instanceof Error ? Promise.reject(one) : Promise.resolve(one as T);
    },
    calls: () => calls,
  };
}

const answer = (sw: number): { data: Uint8Array; sw: number } => ({ data: new Uint8Array(), sw });

describe("a status word", () => {
  test.each([0x6a82, 0x6a83, 0x6a88])("%i says that the object is not there, which may be remembered", (sw) => {
    expect(isNotFound(sw)).toBe(true);
    expect(isAnswer(status(sw))).toBe(true);
  });

  test("6982 is an answer as well", () => {
    expect(isNotFound(0x6982)).toBe(false);
    expect(isAnswer(status(0x6982))).toBe(true);
  });

  test.each([0x6f00, 0x6581, 0x6400, 0x6985, 0x6a86, 0x6d00])("%i is an accident", (sw) => {
    expect(isAnswer(status(sw))).toBe(false);
  });
});

describe("a refusal with a meaning", () => {
  test("that the card repeats is meant", async () => {
    const { next, calls } = outcomes(answer(0x6d00), answer(0x6d00));
    expect((await confirmedAnswer(next)).sw).toBe(0x6d00);
    expect(calls()).toBe(2);
  });

  test("that comes once was an accident", async () => {
    const { next } = outcomes(answer(0x6f00), answer(0x9000));
    expect((await confirmedAnswer(next)).sw).toBe(0x9000);
  });

  test.each([0x9000, 0x6110, 0x6a82, 0x6999])("%i is not asked about again", async (sw) => {
    const { next, calls } = outcomes(answer(sw));
    expect((await confirmedAnswer(next)).sw).toBe(sw);
    expect(calls()).toBe(1);
  });
});

describe("a look that may be refused", () => {
  test.each([
    ["is refused by an answer", [status(0x6a82)], undefined, 1],
    ["fails by an accident", [status(0x6f00), "there"], "there", 2],
    ["comes broken once", [new DataError("cut off"), "there"], "there", 2],
    ["fails twice", [status(0x6d00), status(0x6d00)], undefined, 2],
  ] as const)("that %s", async (_, given, found, times) => {
    const { next, calls } = outcomes<string>(...given);
    expect(await unlessRefused(next)).toBe(found);
    expect(calls()).toBe(times);
  });

  test("that cannot reach the card fails with that", async () => {
    await expect(unlessRefused(outcomes(new Error("no reader")).next)).rejects.toThrow("no reader");
  });
});

describe("what does not parse", () => {
  test("is read once more", async () => {
    expect(await readTwiceIfMalformed(outcomes<string>(new MalformedAnswerError("cut off"), "whole").next)).toBe(
      "whole",
    );
  });

  test("counts when it comes broken twice", async () => {
    const { next, calls } = outcomes(new DataError("cut off"));
    await expect(readTwiceIfMalformed(next)).rejects.toThrow("cut off");
    expect(calls()).toBe(2);
  });

  test("is not read again for a refusal", async () => {
    const { next, calls } = outcomes(status(0x6982));
    await expect(readTwiceIfMalformed(next)).rejects.toThrow("6982");
    expect(calls()).toBe(1);
  });
});
