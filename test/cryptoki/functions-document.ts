import { format } from "prettier";
import type { AnyChapter } from "../../src/cryptoki/chapter.ts";
import type { FunctionEntry } from "../../src/cryptoki/function-entry.ts";
import { CHAPTERS } from "../../src/cryptoki/cryptoki.ts";

const BEGIN = "<!-- begin: generated from src/cryptoki/chapters -->";
const END = "<!-- end -->";

/** docs/functions.md with its generated part made anew; what stands before and after it is kept. */
export function renew(document: string): Promise<string> {
  const [before = "", rest = ""] = document.split(BEGIN);
  const after = rest.split(END)[1] ?? "\n";
  return format(`${before}${BEGIN}\n\n${CHAPTERS.map(section).join("\n")}\n${END}${after}`, {
    parser: "markdown",
    printWidth: 120,
  });
}

function section({ title, source, functions }: AnyChapter): string {
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
