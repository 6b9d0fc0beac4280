import { describe, expect, test } from "@jest/globals";
import { Cryptoki } from "../../src/cryptoki/cryptoki.ts";
import { type Chapter, CHAPTERS } from "../../src/cryptoki/function-table.ts";

/** The C_ methods of a class and of those that it extends. */
function methods(): readonly string[] {
  const found = new Set<string>();
  for (let at: object | null = Cryptoki.prototype; at; at = Object.getPrototypeOf(at) as object | null) {
    for (const name of Object.getOwnPropertyNames(at)) if (name.startsWith("C_")) found.add(name);
  }
  return [...found].sort();
}

describe("the function table", () => {
  const chapters: readonly Chapter[] = CHAPTERS;
  const entries = chapters.flatMap(({ functions }) => Object.entries(functions));

  test("has every function of the class, once, and no other", () => {
    expect(entries.map(([name]) => name).sort()).toEqual(methods());
  });

  test("says why, where a function is not supported", () => {
    for (const [name, { state, note }] of entries) {
      if (state === "not supported") expect([name, note]).toEqual([name, expect.stringMatching(/\w/)]);
    }
  });
});
