/** Columns where the output is no terminal. */
const COLUMNS = 100;

/** How wide the help is. */
export function helpWidth({ columns }: { readonly columns?: number }): number {
  return columns ?? COLUMNS;
}

/** Whether a stream gets colours: on a terminal, except with NO_COLOR (no-color.org) or TERM=dumb; always with FORCE_COLOR. */
export function hasColours(
  { isTTY }: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  const forbidden = Boolean(env["NO_COLOR"]) || env["TERM"] === "dumb";
  const wanted = Boolean(env["FORCE_COLOR"]) || isTTY === true;
  return wanted && !forbidden;
}
