import type { CardFinding } from "../card/index.ts";
import type { Printer } from "./output.ts";

/** What is wrong with a card, each thing on a line. */
export function tellFindings(print: Printer, findings: readonly CardFinding[]): void {
  if (findings.length === 0) return;
  print.line();
  print.line(print.colours.yellow("What is wrong with the card:"));
  for (const { where, problem } of findings) print.line(`  ${where}: ${problem}`);
}
