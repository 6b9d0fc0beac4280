/**
 * How much of each room of `src` the unit tests cover, from the summary that Jest has just written (`npm run coverage`). It fails if
 * a room is below its floor in test/coverage.json.
 *
 *   node scripts/coverage.js           the table
 *   node scripts/coverage.js --write   makes the floors of this run, a whole per cent below its figures
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const KINDS = ["lines", "branches", "functions"];
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const FLOORS = path.join(ROOT, "test", "coverage.json");

/** Per cent. */
const share = ({ covered, total }) => (total === 0 ? 100 : (100 * covered) / total);

/** @returns {Map<string, Record<string, number>>} Per cent of each kind, by room. */
function measured() {
  const summary = JSON.parse(readFileSync(path.join(ROOT, "coverage", "coverage-summary.json"), "utf8"));
  const sums = new Map();
  for (const [file, counts] of Object.entries(summary)) {
    if (file === "total") continue;
    const [room, ...rest] = path.relative(path.join(ROOT, "src"), file).split(path.sep);
    // Files of the tests are counted too. The main entry point exports, and does nothing.
    if (room === ".." || rest.length === 0) continue;
    if (!sums.has(room)) sums.set(room, Object.fromEntries(KINDS.map((kind) => [kind, { covered: 0, total: 0 }])));
    for (const kind of KINDS) {
      sums.get(room)[kind].covered += counts[kind].covered;
      sums.get(room)[kind].total += counts[kind].total;
    }
  }
  const rooms = [...sums].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(rooms.map(([room, sum]) => [room, Object.fromEntries(KINDS.map((kind) => [kind, share(sum[kind])]))]));
}

const rooms = measured();
if (process.argv.includes("--write")) {
  const floor = (figures) =>
    Object.fromEntries(KINDS.map((kind) => [kind, Math.max(0, Math.floor(figures[kind]) - 1)]));
  const floors = Object.fromEntries([...rooms].map(([room, figures]) => [room, floor(figures)]));
  writeFileSync(FLOORS, `${JSON.stringify(floors, undefined, 2)}\n`);
}
if (!existsSync(FLOORS)) {
  console.error(
    "coverage: there is no test/coverage.json yet; node scripts/coverage.js --write makes it of the last run",
  );
  process.exit(2);
}
const floors = JSON.parse(readFileSync(FLOORS, "utf8"));

const problems = [];
console.log(`${"room".padEnd(12)}${KINDS.map((kind) => kind.padStart(12)).join("")}   per cent, by the unit tests`);
for (const [room, figures] of rooms) {
  console.log(`${room.padEnd(12)}${KINDS.map((kind) => figures[kind].toFixed(1).padStart(12)).join("")}`);
  if (!floors[room]) problems.push(`${room} has no floors in test/coverage.json`);
  for (const [kind, least] of Object.entries(floors[room] ?? {})) {
    if (figures[kind] < least)
      problems.push(`${room}: ${figures[kind].toFixed(1)} % of its ${kind} are covered; ${least} % are the least`);
  }
}
for (const room of Object.keys(floors))
  if (!rooms.has(room)) problems.push(`test/coverage.json names ${room}, which is no room of src`);
for (const problem of problems) console.error(`coverage: ${problem}`);
if (problems.length > 0) process.exitCode = 1;
