import type { Environment } from "./printer.ts";

/** Columns where the output is no terminal. */
const COLUMNS = 100;

/** How wide the help is. */
export function helpWidth({ columns }: Pick<Environment["stdout"], "columns">): number {
  return columns ?? COLUMNS;
}

/** Whether `stream` gets colours: on a terminal, except with NO_COLOR (no-color.org) or TERM=dumb; always with FORCE_COLOR. */
export function hasColours({ isTTY }: Pick<Environment["stdout"], "isTTY">, env: Environment["env"]): boolean {
  const forbidden = Boolean(env["NO_COLOR"]) || env["TERM"] === "dumb";
  const wanted = Boolean(env["FORCE_COLOR"]) || isTTY === true;
  return wanted && !forbidden;
}
