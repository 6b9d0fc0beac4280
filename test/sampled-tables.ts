/**
 * A setup file of Jest if TEST_SHARE is below 1: of each table with more than a few rows the suites take that share, evenly spaced. A
 * version of Node has always the same rows, and its neighbour others, so nothing here depends on chance.
 */
import { describe, test } from "@jest/globals";
import { shareOf } from "./seeded-random.ts";

/** A table with so many rows is taken whole; of a longer one at least so many are. */
const FEW = 2;
const [MAJOR = 0] = process.versions.node.split(".").map(Number);
/** Where between two samples the first row is: 22 and 24 differ by half of the distance. */
const PHASE = (MAJOR % 4) / 4;

/** @returns The rows of a table that are tested. */
export function sampleOf<Row>(rows: readonly Row[]): readonly Row[] {
  const count = Math.max(FEW, shareOf(rows.length));
  if (count >= rows.length) return rows;
  return Array.from({ length: count }, (_, index) => rows[Math.floor(((index + PHASE) * rows.length) / count)] as Row);
}

type Each = (table: unknown, ...rest: readonly unknown[]) => unknown;

/** Puts a sampling `each` in the place of the present one. A table written as a template stays whole. */
function sampleTables(block: { each: unknown }): void {
  const each = block.each as Each;
  block.each = (table: unknown, ...rest: readonly unknown[]): unknown =>
    each(Array.isArray(table) && !("raw" in table) ? sampleOf(table as readonly unknown[]) : table, ...rest);
}

sampleTables(describe);
sampleTables(test);
