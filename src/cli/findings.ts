import type { CardFinding, FindingSink } from "../card/index.ts";
import { type Printer, visible } from "./output.ts";

/** What is wrong with a card, each thing on a line. */
export function tellFindings(print: Printer, findings: readonly CardFinding[]): void {
  if (findings.length === 0) return;
  print.line();
  print.line(print.colours.yellow("What is wrong with the card:"));
  for (const finding of findings) print.line(`  ${findingText(finding)}`);
}

/** Tells each thing that is wrong with a card as soon as it is found, in a line. */
export function findingsTo(print: Printer, json: boolean): FindingSink {
  if (json) {
    return (finding, reader): void => {
      print.documentLine({ finding: { reader, ...finding } });
    };
  }
  return (finding): void => {
    print.line(print.colours.yellow(`!! ${findingText(finding)}`));
  };
}

/** What a card says of itself is not to be trusted with a terminal. */
const findingText = ({ where, problem }: CardFinding): string => visible(`${where}: ${problem}`);
