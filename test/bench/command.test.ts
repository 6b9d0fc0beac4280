import { expect, test } from "@jest/globals";
import { COMMAND_ROWS, countCommandRows, countServedRows, SERVED_ROWS } from "../../bench/command.ts";
import type { CountedTable } from "../../bench/report.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";

/** The kinds of keys that the cards of the budgets have. */
const cards = {
  piv: () => testCard({ extended: false }),
  pkcs15: () => testPkcs15Card(),
};

/** The rows whose count is not a number within the budget. */
function over({ rows }: CountedTable): readonly string[] {
  return rows
    .filter(({ budget = 0, counts: { cryptoki: count } }) => typeof count !== "number" || count > budget)
    .map(({ title, budget, counts }) => `${title}: ${JSON.stringify(counts)}, budget ${budget ?? "none"}`);
}

test("no command takes more APDUs than its budget", async () => {
  const table = await countCommandRows(cards);
  expect(table.rows).toHaveLength(COMMAND_ROWS.length);
  expect(over(table)).toEqual([]);
});

test("a client of serve takes no more than its budget, and no more than an application in the process", async () => {
  const table = await countServedRows(cards);
  expect(table.rows).toHaveLength(SERVED_ROWS.length);
  expect(over(table)).toEqual([]);
  for (const { counts } of table.rows) expect(counts["cryptoki"]).toBe(counts["in process"]);
});
