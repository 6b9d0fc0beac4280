import type { StatusExplanation } from "../../apdu/index.ts";
import type { Printer } from "../output.ts";

/** A status word and its meaning, green if the card is content. */
export function sayStatus(print: Printer, status: StatusExplanation): void {
  const { code, kind, name, advice } = status;
  const colour =
    kind === "success" ? print.colours.green : kind === "warning" ? print.colours.yellow : print.colours.red;
  print.line(`${colour(code)}  ${name}`);
  if (advice !== undefined) print.line(`      ${print.colours.dim(advice)}`);
}
