/**
 * The interop tests, which drive real daemons and programs.
 *
 * Debian's pcscd has a fixed socket, so there is one daemon a machine, and suites that use it come one after another. As root on Linux this
 * script makes two lanes instead, each with its own /run/pcscd (unshare), hence a pcscd of its own. Where that cannot be done, all suites run
 * one after another. What measures how programs share a card runs alone.
 *
 *   npm run test:interop                every suite
 *   npm run test:interop -- ARGUMENT    one after another, with an argument for Jest
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const JEST = ["--experimental-vm-modules", "--disable-warning=ExperimentalWarning", "node_modules/jest/bin/jest.js"];

/** Compares how much programs get done in the same time: other suites would disturb it. */
const ALONE = "test/interop/survival/contention";
/** About half of the time; the second lane has the other suites. */
const FIRST_LANE = "test/interop/(cac|card-suite|guides|pcsc|survival)/";

/** Runs its arguments with an empty /run/pcscd that nothing else uses. */
const OWN_DAEMON = [
  "unshare",
  ...["--mount", "--propagation", "private"],
  ...["sh", "-c", 'mkdir -p /run/pcscd && mount -t tmpfs tmpfs /run/pcscd && exec "$@"', "lane"],
];

function canHaveOwnDaemon() {
  const [program = "", ...args] = [...OWN_DAEMON, "true"];
  return process.getuid?.() === 0 && spawnSync(program, args, { stdio: "ignore" }).status === 0;
}

/**
 * @param {readonly string[]} args Of Jest.
 * @param {readonly string[]} prefix What runs the command.
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<boolean>} Whether all tests passed.
 */
async function succeeds(args, prefix = [], env = process.env) {
  const line = [...prefix, process.execPath, ...JEST, "--selectProjects", "interop", "--runInBand", ...args];
  const [program = "", ...rest] = line;
  const child = spawn(program, rest, { cwd: ROOT, env, stdio: ["ignore", "inherit", "inherit"] });
  return await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      resolve(code === 0);
    });
  });
}

/**
 * A lane has its own folder for temporary files, where the lock on pcscd is; what Jest has compiled is shared.
 * @param {readonly string[]} args Of Jest.
 */
async function succeedsInLane(args) {
  const folder = mkdtempSync(path.join(tmpdir(), "lane-"));
  const cache = path.join(realpathSync(tmpdir()), `jest_${(process.getuid?.() ?? 0).toString(36)}`);
  try {
    return await succeeds([...args, "--cacheDirectory", cache], OWN_DAEMON, { ...process.env, TMPDIR: folder });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function testAll() {
  if (!canHaveOwnDaemon()) return succeeds([]);
  const lanes = await Promise.all([
    succeedsInLane(["--testPathPatterns", FIRST_LANE, "--testPathIgnorePatterns", "/node_modules/", ALONE]),
    succeedsInLane(["--testPathIgnorePatterns", "/node_modules/", ALONE, FIRST_LANE]),
  ]);
  const alone = await succeeds(["--testPathPatterns", ALONE]);
  return alone && lanes.every(Boolean);
}

const given = process.argv.slice(2);
if (!(await (given.length > 0 ? succeeds(given) : testAll()))) process.exitCode = 1;
