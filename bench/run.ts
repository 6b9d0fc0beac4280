/**
 * `npm run bench`: how many APDUs this library and its neighbours take for the same work on the same virtual card through
 * the same pcscd, beside the budget; and a few figures of the host's side. See docs/benchmarks.md.
 *
 *   npm run bench                 tables, in Markdown
 *   npm run bench -- --json       the same as JSON
 *   npm run bench -- --trace      also every exchange that was counted, on standard error
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { VirtualPkcs15Card } from "../src/virtual/index.ts";
import { startPcscd } from "../test/interop/rig/pcscd.ts";
import { cacDrivers, countCacRows } from "./cac.ts";
import { CardFactory, MANAGEMENT_KEY, PIN } from "./cards.ts";
import { certificateLengths } from "./certificates.ts";
import { countCommandRows, countServedRows } from "./command.ts";
import { countRows, exchangeLines, type Watcher } from "./count.ts";
import type { CountedRun } from "./counted-run.ts";
import { compileNoDelay, compileWalk, debianVersion, openSc, ours, ykcs11 } from "./drivers.ts";
import { hostTimes } from "./host-time.ts";
import { countOthersCards } from "./others-cards.ts";
import { remoteTimes } from "./remote.ts";
import { type CountedTable, type HostFigure, type Report, toMarkdown } from "./report.ts";
import { countPkcs15Rows, pkcs15Drivers } from "./pkcs15.ts";
import { measureRoundTrip } from "./round-trip.ts";
import { startUp } from "./start-up.ts";

const { values: options } = parseArgs({
  options: { json: { type: "boolean", default: false }, trace: { type: "boolean", default: false } },
});

// Inside the project, because the library that is built there looks for its dependencies from where it lies.
const parent = fileURLToPath(new URL("../node_modules/.cache/", import.meta.url));
await mkdir(parent, { recursive: true });
const folder = await mkdtemp(path.join(parent, "bench-"));
try {
  const report = await measure(folder);
  process.stdout.write(options.json ? `${JSON.stringify(report, undefined, 2)}\n` : toMarkdown(report));
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measure(folder: string): Promise<Report> {
  const walk = await compileWalk(folder);
  const keyFile = path.join(folder, "management-key");
  await writeFile(keyFile, MANAGEMENT_KEY.replace(/..(?=.)/gu, "$&:"));
  const drivers = [ours(await ownVersion()), await openSc(walk, keyFile), await ykcs11(walk)];
  const factory = new CardFactory();
  tell("waiting for pcscd");
  await using daemon = await startFastPcscd(await compileNoDelay(folder));
  const cac = await cacDrivers(walk, await ownVersion());
  const pkcs15 = await pkcs15Drivers(walk, await ownVersion());
  const tables = [
    ...(await countRows(daemon, factory, drivers, watch)),
    ...(await countPkcs15Rows(daemon, pkcs15, (driver, work, run) => {
      tellRun(`${driver.name}, PKCS #15: ${work}`, run);
    })),
    await countCacRows(daemon, cac, (driver, work, run) => {
      tellRun(`${driver.name}, CAC: ${work}`, run);
    }),
    ...(await countOwnPrograms(factory)),
    ...(await countOthersCards(await ownVersion())),
  ];
  tell("the host's side");
  const host = [
    await roundTrip(daemon),
    ...(await hostTimes(factory)),
    ...(await remoteTimes(factory)),
    ...(await startUp(folder, daemon, factory)),
  ];
  return {
    versions: {
      ...Object.fromEntries([...drivers, ...cac].map(({ name, version }) => [name, version])),
      libcacard: await debianVersion("libcacard0"),
      pcscd: await debianVersion("pcscd"),
      vpcd: await debianVersion("vsmartcard-vpcd"),
      "Node.js": process.versions.node,
    },
    certificates: await certificateLengths(await factory.make("short", false)),
    subject: "cryptoki",
    tables,
    host,
  };
}

/** The command, and clients of `serve`. */
async function countOwnPrograms(factory: CardFactory): Promise<readonly CountedTable[]> {
  tell("the command, and clients of serve");
  const serial = new Uint8Array(8).fill(1);
  const cards = {
    piv: () => factory.make("short", false),
    pkcs15: () => VirtualPkcs15Card.create({ serial, pin: PIN }),
  };
  return [await countCommandRows(cards), await countServedRows(cards)];
}

async function roundTrip(daemon: Awaited<ReturnType<typeof startPcscd>>): Promise<HostFigure> {
  const { socket, addon, ratio, rounds } = await measureRoundTrip(daemon);
  return {
    title: "round trip through the socket client / the pcsclite addon",
    value: ratio,
    unit: "ratio",
    atMost: 1,
    remark: `${socket.toFixed(0)} µs; ${addon.toFixed(0)} µs; medians of ${rounds}, a card that answers at once`,
  };
}

/** pcscd with a reader whose name suits ykcs11, which takes no other. */
async function startFastPcscd(preload: string): ReturnType<typeof startPcscd> {
  process.env["LD_PRELOAD"] = preload;
  try {
    return await startPcscd({ friendlyName: "Yubico Virtual PCD" });
  } finally {
    delete process.env["LD_PRELOAD"];
  }
}

async function ownVersion(): Promise<string> {
  const text = await readFile(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function watch(...[driver, card, work, run]: Parameters<Watcher>): void {
  const key = "key" in work ? ` ${work.key}` : "";
  tellRun(`${driver.name}, ${card}: ${work.name}${key}`, run);
}

function tellRun(what: string, { steps, refusal }: CountedRun): void {
  const counts = steps.map(({ exchanges }) => exchanges.length).join(", ");
  tell([`${what}: ${counts}`, refusal].filter(Boolean).join(" - "));
  if (!options.trace) return;
  for (const { exchanges } of steps) tell([...exchangeLines(exchanges), "  --"].join("\n"));
}

/** Progress goes where it does not disturb the result. */
function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}
