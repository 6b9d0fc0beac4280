/** Tables for cards of which there is one: a few pieces of work, each as walk.cpp and walk.ts take it, by several drivers. */
import { fileURLToPath } from "node:url";
import type { CountedRun, Step } from "./counted-run.ts";
import type { Launch } from "./drivers.ts";
import type { Count, CountedRow } from "./report.ts";

export interface NamedWork {
  readonly name: string;
  /** As walk.cpp and walk.ts take it on their command line. */
  readonly args: readonly string[];
  /** Whether a step brought what the work is for. */
  isRight(detail: string): boolean;
}

export interface NamedRow {
  readonly title: string;
  readonly work: NamedWork;
  /** The process up to the first result, or the largest count of the further ones. */
  readonly counted: "first" | "next";
  readonly budget?: number;
}

/** A driver that does such work. */
export interface NamedDriver {
  readonly name: string;
  readonly version: string;
  launch(args: readonly string[]): Launch;
}

/** Told of each piece of work done. */
export type NamedWatcher = (driver: NamedDriver, work: string, run: CountedRun) => void;

/** This library, from its source. */
export function ourDriver(version: string): NamedDriver {
  const walk = fileURLToPath(new URL("walk.ts", import.meta.url));
  return {
    name: "cryptoki",
    version,
    launch: (args) => ({ program: process.execPath, args: ["--import", "tsx", walk, ...args] }),
  };
}

/** A PKCS #11 module. @param walk The compiled walk.cpp. */
export function moduleDriver(name: string, version: string, walk: string, module: string): NamedDriver {
  return { name, version, launch: (args) => ({ program: walk, args: [module, ...args] }) };
}

/** Has every driver do every piece of work, each once. */
export async function countNamedRows(
  rows: readonly NamedRow[],
  drivers: readonly NamedDriver[],
  run: (driver: NamedDriver, work: NamedWork) => Promise<CountedRun>,
): Promise<readonly CountedRow[]> {
  const runs = new Map<NamedWork, Map<NamedDriver, CountedRun>>();
  for (const work of new Set(rows.map((row) => row.work))) {
    const done = new Map<NamedDriver, CountedRun>();
    for (const driver of drivers) done.set(driver, await run(driver, work));
    runs.set(work, done);
  }
  return rows.map(({ title, work, counted, budget }) => {
    const counts = drivers.map((driver): [string, Count] => {
      const done = runs.get(work)?.get(driver);
      const steps = counted === "first" ? done?.steps.slice(0, 1) : done?.steps.slice(1);
      return [driver.name, countOf(work, done, steps)];
    });
    return { title, ...(budget !== undefined && { budget }), counts: Object.fromEntries(counts) };
  });
}

/** The largest count where there are several steps. */
function countOf(work: NamedWork, run: CountedRun | undefined, steps: readonly Step[] = []): Count {
  if (steps.length === 0) return run?.refusal === undefined ? "nothing done" : `refused: ${run.refusal}`;
  if (!steps.every(({ detail }) => work.isRight(detail))) return "wrong result";
  return Math.max(...steps.map(({ exchanges }) => exchanges.length));
}
