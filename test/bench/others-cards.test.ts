import { expect, test } from "@jest/globals";
import { countOthersCards } from "../../bench/others-cards.ts";
import { missed } from "../../bench/report.ts";

test("every row for cards of the kinds that others made keeps its budget", async () => {
  const tables = await countOthersCards("");
  expect(tables.flatMap(({ rows }) => rows).length).toBeGreaterThan(40);
  expect(missed({ versions: {}, certificates: [], subject: "cryptoki", tables, host: [] })).toEqual([]);
});
