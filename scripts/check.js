/**
 * All checks that run no test, as many at once as there are processors. What a check prints is shown when it ends; all of them run, also
 * after one has failed.
 *
 *   node scripts/check.js         types, lint, docs, the package
 *   node scripts/check.js lint    only: formatting, lint, words, import directions, unused exports
 */
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const BIN = path.join(ROOT, "node_modules", ".bin");
const env = { ...process.env, PATH: `${BIN}${path.delimiter}${process.env.PATH}` };

/** Those that take longest come first, so that the others fill the time. */
const LINT = [
  "eslint .",
  "prettier --check .",
  "knip",
  "depcruise src --config .dependency-cruiser.cjs",
  "node scripts/words.js",
];
const ALL = [
  "eslint .",
  "npm run --silent check:package",
  "typedoc",
  "tsc --noEmit",
  "tsc -p src/service/web",
  ...LINT.slice(1),
];

/**
 * @param {string} command
 * @returns {Promise<boolean>} Whether it succeeded.
 */
async function succeeds(command) {
  const [program = "", ...args] = command.split(" ");
  const started = performance.now();
  const child = spawn(program, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => output.push(chunk));
  const code = await new Promise((resolve) => {
    child.on("error", (error) => output.push(Buffer.from(`${error.message}\n`)));
    child.on("close", resolve);
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  console.log(`${code === 0 ? "passed" : "FAILED"}  ${command}  (${seconds} s)`);
  process.stdout.write(Buffer.concat(output));
  return code === 0;
}

const [what] = process.argv.slice(2);
if (what !== undefined && what !== "lint") {
  console.error(`check: there is "lint", and no argument for all; not ${what}`);
  process.exit(2);
}
const waiting = what === "lint" ? [...LINT] : [...ALL];
async function work() {
  for (let command = waiting.shift(); command !== undefined; command = waiting.shift()) {
    if (!(await succeeds(command))) process.exitCode = 1;
  }
}
await Promise.all(Array.from({ length: Math.min(availableParallelism(), waiting.length) }, work));
