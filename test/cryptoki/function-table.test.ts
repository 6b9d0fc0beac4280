import { describe, expect, test } from "@jest/globals";
import type { CallOptions } from "../../src/async/index.ts";
import { type Chapter, SESSION } from "../../src/cryptoki/chapter.ts";
import { CHAPTERS, Cryptoki } from "../../src/cryptoki/cryptoki.ts";

/** The C_ methods of a class and of those that it extends. */
function methods(): readonly string[] {
  const found = new Set<string>();
  for (let at: object | null = Cryptoki.prototype; at; at = Object.getPrototypeOf(at) as object | null) {
    for (const name of Object.getOwnPropertyNames(at)) if (name.startsWith("C_")) found.add(name);
  }
  return [...found].sort();
}

interface TwoFunctions {
  C_One(session: number, data: Uint8Array, options?: CallOptions): Promise<number>;
  C_Two(label: string): Promise<void>;
}

test("a row that does not fit its function is no row of its chapter", () => {
  const fits: Chapter<TwoFunctions>["functions"]["C_One"] = {
    state: "software",
    parameters: [SESSION, ["pData", "bytes"]],
    result: "value",
    body: (_application, session, data) => session + data.length,
  };
  const wrong: readonly Chapter<TwoFunctions>["functions"]["C_One"][] = [
    // @ts-expect-error: a handle is no bytes.
    { ...fits, parameters: [["pData", "bytes"], SESSION] },
    // @ts-expect-error: a parameter is missing.
    { ...fits, parameters: [SESSION] },
    // @ts-expect-error: the function gives a number.
    { ...fits, body: () => "text" },
  ];
  expect(wrong).toHaveLength(3);
});

describe("the function table", () => {
  const entries = CHAPTERS.flatMap(({ functions }) => Object.entries(functions));

  test("has every function of the class, once, and no other", () => {
    expect(entries.map(([name]) => name).sort()).toEqual(methods());
  });

  test("says why, where a function is not supported", () => {
    for (const [name, { state, note }] of entries) {
      if (state === "not supported") expect([name, note]).toEqual([name, expect.stringMatching(/\w/)]);
    }
  });
});
