import { describe, expect, test } from "@jest/globals";
import { missed, type Report, toMarkdown } from "../../bench/report.ts";

const REPORT: Report = {
  versions: { ours: "1.0", theirs: "0.23" },
  certificates: [700, 900],
  subject: "ours",
  tables: [
    {
      title: "A card",
      rows: [
        { title: "list", budget: 4, counts: { ours: 4, theirs: 38 } },
        { title: "sign", budget: 7, counts: { ours: 8, theirs: "refused: C_Sign 0x101" } },
        { title: "read", counts: { ours: 20, theirs: 35 } },
      ],
    },
  ],
  host: [
    { title: "round trip", value: 1.25, unit: "ratio", atMost: 1 },
    { title: "C_Sign", value: 0.1234, unit: "ms", atMost: 1 },
  ],
};

describe("the report", () => {
  test("says what is over its bound, of the subject only", () => {
    expect(missed(REPORT)).toEqual(["sign (A card): 8, budget 7", "round trip: 1.25, 1.00 at most"]);
  });

  test("takes work that was not done for a budget missed", () => {
    const rows = [
      { title: "list", counts: { ours: "refused: C_Login 0xa2" } },
      { title: "read", budget: 6, counts: {} },
    ];
    expect(missed({ ...REPORT, tables: [{ title: "A card", rows }], host: [] })).toEqual([
      "list (A card): refused: C_Login 0xa2",
      "read (A card): not counted, budget 6",
    ]);
  });

  test("is Markdown whose columns line up", () => {
    const lines = toMarkdown(REPORT).split("\n");
    expect(lines).toContain("| APDUs | budget |         ours |                theirs |");
    expect(lines).toContain("| sign  |      7 | **8** (over) | refused: C_Sign 0x101 |");
    expect(lines.slice(-4)).toEqual([
      "Budgets missed:",
      "- sign (A card): 8, budget 7",
      "- round trip: 1.25, 1.00 at most",
      "",
    ]);
  });

  test("says so when every budget is kept", () => {
    expect(toMarkdown({ ...REPORT, tables: [], host: [] })).toMatch(/All budgets are kept\.\n$/u);
  });
});
