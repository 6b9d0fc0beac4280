import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "@jest/globals";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

async function walk(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", "bench/entered.ts", ...args], {
    cwd: PROJECT,
  });
  return stdout;
}

interface Walk {
  readonly files: number;
  readonly functions: number;
}

/** The last two numbers of each row of a Markdown table, by its first cell, which begins with a name in code. */
function rowsOf(table: string): Map<string, Walk> {
  const rows = table.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  return new Map(
    rows
      .map((cells): [string, Walk] => [
        cells[1] ?? "",
        { files: Number(cells.at(-3)), functions: Number(cells.at(-2)) },
      ])
      .filter(([call, { functions }]) => call.startsWith("`") && functions > 0),
  );
}

/** Functions: the keys are new each time, and numbers in them that are longer or shorter take other branches. */
const SLACK = 6;

test("no call enters more files or functions than docs/architecture.md says", async () => {
  const bounds = rowsOf(await readFile(`${PROJECT}docs/architecture.md`, "utf8"));
  const counted = rowsOf(await walk());
  expect([...counted.keys()]).toEqual([...bounds.keys()]);
  expect(counted.size).toBe(5);
  const further = [...counted].filter(([call, { files, functions }]) => {
    const bound = bounds.get(call);
    return bound === undefined || files > bound.files || functions > bound.functions + SLACK;
  });
  expect(further).toEqual([]);
});

test("lists the functions of a call by file, with their lines in the source", async () => {
  const lines = (await walk("--list", "C_Login")).split("\n");
  const files = lines.filter((line) => line.endsWith(".ts"));
  expect(files).toEqual([...files].sort());
  expect(files.filter((file) => file.startsWith("virtual/"))).toEqual([]);
  const source = (await readFile(`${PROJECT}src/cryptoki/sessions/logins.ts`, "utf8")).split("\n");
  const entered = lines.slice(lines.indexOf("cryptoki/sessions/logins.ts"));
  const [, line] = /^ +(\d+) {2}login$/mu.exec(entered.join("\n")) ?? [];
  expect(source[Number(line) - 1]).toMatch(/\blogin\(/u);
});
