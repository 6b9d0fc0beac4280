import { format } from "prettier";
import { type Chapter, CHAPTERS, type FunctionEntry } from "../../src/cryptoki/function-table.ts";

const BEGIN = "<!-- begin: generated from src/cryptoki/function-table.ts -->";
const END = "<!-- end -->";

/** docs/functions.md with its generated part made anew; what stands before and after it is kept. */
export function renew(document: string): Promise<string> {
  const [before = "", rest = ""] = document.split(BEGIN);
  const after = rest.split(END)[1] ?? "\n";
  const chapters: readonly Chapter[] = CHAPTERS;
  return format(`${before}${BEGIN}\n\n${chapters.map(section).join("\n")}\n${END}${after}`, {
    parser: "markdown",
    printWidth: 120,
  });
}

function section({ title, source, functions }: Chapter): string {
  return [
    `## ${title}\n`,
    `${source}.\n`,
    "| function | takes | done by | |",
    "| --- | --- | --- | --- |",
    ...Object.entries(functions).map(row),
    "",
  ].join("\n");
}

function row([name, { parameters, state, note = "" }]: [string, FunctionEntry]): string {
  const takes = parameters.map(([parameter]) => parameter).join(", ");
  return `| \`${name}\` | ${takes} | ${state} | ${note} |`;
}
