/** The rows for a CAC card: libcacard's, which is nobody's own, so that each driver finds what it knows from elsewhere. */
import { verify, X509Certificate } from "node:crypto";
import { fileURLToPath } from "node:url";
import { type LibcacardCard, startLibcacard } from "../test/interop/cac/libcacard.ts";
import type { Pcscd as Daemon } from "../test/interop/rig/pcscd.ts";
import { requireLibrary } from "../test/interop/rig/require.ts";
import { withCard } from "./count.ts";
import { type CountedRun, countedRun, type Step } from "./counted-run.ts";
import { debianVersion, type Launch } from "./drivers.ts";
import type { Count, CountedRow, CountedTable } from "./report.ts";

/** The first key of the card, under the CKA_ID that OpenSC and this library give it. */
const KEY = "0001";
const DATA = Buffer.from("data to be signed");
const CKM_SHA256_RSA_PKCS = "0x40";
/** Enough further signatures to see that each costs the same. */
const TIMES = 4;

interface CacWork {
  readonly name: string;
  /** As walk.cpp and walk.ts take it on their command line. */
  readonly args: readonly string[];
  /** Whether a step brought what the work is for. */
  readonly isRight: (detail: string, card: LibcacardCard) => boolean;
}

const LIST: CacWork = { name: "list", args: ["list"], isRight: (detail) => detail.trim() !== "" };
const OBJECTS: CacWork = {
  name: "objects",
  args: ["objects"],
  isRight: (detail) => ["0001", "0002", "0003"].every((id) => new RegExp(`(^| )1:${id}:`, "u").test(detail)),
};
const SIGN: CacWork = {
  name: "sign",
  args: ["sign", KEY, CKM_SHA256_RSA_PKCS, DATA.toString("hex"), String(TIMES)],
  isRight: (detail, { certificates: [certificate = new Uint8Array()] }) =>
    verify("sha256", DATA, new X509Certificate(certificate).publicKey, Buffer.from(detail, "hex")),
};

const ROWS = [
  { title: "list", work: LIST, counted: "first", budget: 12 },
  { title: "objects", work: OBJECTS, counted: "first", budget: 48 },
  { title: "sign, RSA-2048", work: SIGN, counted: "first", budget: 24 },
  { title: "next, RSA-2048", work: SIGN, counted: "next", budget: 3 },
] as const;

/** A driver for CAC cards that is measured. */
export interface CacDriver {
  readonly name: string;
  readonly version: string;
  launch(args: readonly string[]): Launch;
}

/** This library, and every PKCS #11 module that Debian has for these cards. @param walk The compiled walk.cpp. */
export async function cacDrivers(walk: string, version: string): Promise<readonly CacDriver[]> {
  const own = fileURLToPath(new URL("walk.ts", import.meta.url));
  const modules = [
    { name: "OpenSC", debianPackage: "opensc-pkcs11", module: "pkcs11/opensc-pkcs11.so" },
    { name: "coolkey", debianPackage: "coolkey", module: "pkcs11/libcoolkeypk11.so" },
    { name: "cackey", debianPackage: "cackey", module: "pkcs11/libcackey.so" },
  ];
  const others = modules.map(async ({ name, debianPackage, module }): Promise<CacDriver> => {
    const library = requireLibrary(module, debianPackage);
    return {
      name,
      version: await debianVersion(debianPackage),
      launch: (args) => ({ program: walk, args: [library, ...args] }),
    };
  });
  const ours: CacDriver = {
    name: "cryptoki",
    version,
    launch: (args) => ({ program: process.execPath, args: ["--import", "tsx", own, ...args] }),
  };
  return [ours, ...(await Promise.all(others))];
}

/** Told of each piece of work done. */
export type CacWatcher = (driver: CacDriver, work: string, run: CountedRun) => void;

/** Counts every row for every driver, each piece of work in a fresh process on a card just reset. */
export async function countCacRows(
  daemon: Daemon,
  drivers: readonly CacDriver[],
  watch: CacWatcher,
): Promise<CountedTable> {
  await using card = await startLibcacard();
  const runs = new Map<string, CountedRun>();
  await withCard(daemon, card, async (counting) => {
    for (const work of [LIST, OBJECTS, SIGN]) {
      for (const driver of drivers) {
        card.reset();
        const run = await countedRun(counting, driver.launch(work.args), daemon.env);
        runs.set(`${driver.name} ${work.name}`, run);
        watch(driver, work.name, run);
      }
    }
  });
  const rows = ROWS.map(({ title, work, counted, budget }): CountedRow => {
    const counts = drivers.map(({ name }): [string, Count] => {
      const run = runs.get(`${name} ${work.name}`);
      return [name, countOf(work, card, run, counted === "first" ? run?.steps.slice(0, 1) : run?.steps.slice(1))];
    });
    return { title, budget, counts: Object.fromEntries(counts) };
  });
  const lengths = [...new Set(card.certificates.map(({ length }) => length))].sort((a, b) => a - b).join(", ");
  return { title: `CAC card (libcacard): three RSA-2048 keys, certificates of ${lengths} bytes, T=0`, rows };
}

/** The largest count where there are several steps. */
function countOf(work: CacWork, card: LibcacardCard, run: CountedRun | undefined, steps: readonly Step[] = []): Count {
  if (steps.length === 0) return run?.refusal === undefined ? "nothing done" : `refused: ${run.refusal}`;
  if (!steps.every(({ detail }) => work.isRight(detail, card))) return "wrong result";
  return Math.max(...steps.map(({ exchanges }) => exchanges.length));
}
