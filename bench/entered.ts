/**
 * `npm run walk`: how far a call walks, which is how many files and functions of `src` it enters, the virtual cards aside.
 * See docs/architecture.md.
 *
 *   npm run walk                    a table, in Markdown
 *   npm run walk -- --list C_Sign   the functions that one call enters, file by file
 */
import { parseArgs } from "node:util";
import { type EnteredFile, EntryWatch } from "./entered-functions.ts";

const { values: options } = parseArgs({ options: { list: { type: "string" } } });

// V8 counts functions from here on: what is loaded earlier it might have compiled without counters.
using watch = await EntryWatch.start();
const { FOLLOWED_CALLS } = await import("./entered-calls.ts");

if (options.list === undefined) {
  const rows = ["| call | files | functions |", "| --- | --: | --: |"];
  for (const { title, follow } of FOLLOWED_CALLS) {
    const files = await follow(watch);
    rows.push(`| ${title} | ${files.length} | ${functionsOf(files)} |`);
  }
  process.stdout.write(`${rows.join("\n")}\n`);
} else {
  const call = FOLLOWED_CALLS.find(({ name }) => name === options.list);
  if (call) process.stdout.write(listing(await call.follow(watch)));
  else fail(`--list takes one of ${FOLLOWED_CALLS.map(({ name }) => name).join(", ")}`);
}

function functionsOf(files: readonly EnteredFile[]): number {
  return files.reduce((sum, { functions }) => sum + functions.length, 0);
}

function listing(files: readonly EnteredFile[]): string {
  const lines = files.flatMap(({ path, functions }) => [
    path,
    ...functions.map(({ line, name }) => `${String(line).padStart(6)}  ${name || "(no name)"}`),
  ]);
  return `${lines.join("\n")}\n${files.length} files, ${functionsOf(files)} functions\n`;
}

function fail(message: string): void {
  process.stderr.write(`${message}\n`);
  process.exitCode = 2;
}
