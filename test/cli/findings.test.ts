import { PassThrough } from "node:stream";
import { expect, test } from "@jest/globals";
import { findingsTo, Printer, tellFindings } from "../../src/cli/output/printer.ts";

const RUDE = { where: "certificate \u001b[2J\u0007", problem: "cut off at 12" };

/** What a printer was given. */
function printed(work: (print: Printer) => void): string {
  const stream = new PassThrough();
  work(new Printer(stream, {}, false));
  return String(stream.read());
}

test("what is wrong with a card never commands a terminal", () => {
  expect(
    printed((print) => {
      tellFindings(print, [RUDE]);
    }),
  ).toBe("\nProblems of the card:\n  certificate \ufffd[2J\ufffd: cut off at 12\n");
  expect(
    printed((print) => {
      findingsTo(print, false)(RUDE, "Reader");
    }),
  ).toBe("!! certificate \ufffd[2J\ufffd: cut off at 12\n");
});

test("in JSON each finding is a line with its reader", () => {
  const line = printed((print) => {
    findingsTo(print, true)(RUDE, "Reader");
  });
  expect(JSON.parse(line)).toEqual({ finding: { reader: "Reader", ...RUDE } });
});
