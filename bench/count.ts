import { setTimeout as sleep } from "node:timers/promises";
import { Pcscd } from "../src/pcsc/index.ts";
import { plugIntoVpcd, type VirtualCard, type VirtualPivCard } from "../src/virtual/index.ts";
import type { Pcscd as Daemon } from "../test/interop/rig/pcscd.ts";
import { CARD_KINDS, type CardFactory, type CardKind } from "./cards.ts";
import { type CountedRun, countedRun } from "./counted-run.ts";
import { CountingCard, type Exchange } from "./counting-card.ts";
import type { Driver } from "./drivers.ts";
import type { Count, CountedRow, CountedTable } from "./report.ts";
import { type Row, ROWS } from "./rows.ts";
import { isRight, type Work } from "./work.ts";

/** Told of each piece of work done, for those who watch. */
export type Watcher = (driver: Driver, card: CardKind, work: Work, run: CountedRun) => void;

/** Counts every row for every driver, each piece of work in a fresh process on a card just reset. */
export async function countRows(
  daemon: Daemon,
  factory: CardFactory,
  drivers: readonly Driver[],
  watch: Watcher,
): Promise<readonly CountedTable[]> {
  const runs = new Map<string, CountedRun>();
  const kinds = [...new Set(ROWS.map(({ card }) => card))];
  for (const kind of kinds) {
    for (const yubico of new Set(drivers.map((driver) => driver.yubico))) {
      const users = drivers.filter((driver) => driver.yubico === yubico);
      const make = (): Promise<VirtualPivCard> => factory.make(kind, yubico);
      await withCard(daemon, await make(), async (card) => {
        for (const { work } of uniqueWork(kind)) {
          for (const driver of users) {
            card.exchangeFor(await make());
            const run = await countedRun(card, driver.launch(work), daemon.env);
            runs.set(keyOf(driver, kind, work), run);
            watch(driver, kind, work, run);
          }
        }
      });
    }
  }
  const counted = (row: Row): CountedRow => ({
    title: row.title,
    ...(row.budget !== undefined && { budget: row.budget }),
    counts: Object.fromEntries(
      drivers.map((driver) => [driver.name, countOf(row, runs.get(keyOf(driver, row.card, row.work)), factory)]),
    ),
  });
  return kinds.map((kind) => ({
    title: CARD_KINDS[kind].title,
    rows: ROWS.filter(({ card }) => card === kind).map(counted),
  }));
}

/** Runs `use` while `card` is in the daemon's reader. */
export async function withCard(
  daemon: Daemon,
  card: VirtualCard,
  use: (card: CountingCard) => Promise<void>,
): Promise<void> {
  const counting = new CountingCard(card);
  const plugged = await plugIntoVpcd(counting, { port: daemon.port });
  try {
    await untilCard(daemon, true);
    await use(counting);
  } finally {
    await plugged.remove();
  }
  await untilCard(daemon, false);
}

const keyOf = (driver: Driver, kind: CardKind, work: Work): string => JSON.stringify([driver.name, kind, work]);

function uniqueWork(kind: CardKind): readonly Row[] {
  const rows = ROWS.filter(({ card }) => card === kind);
  return rows.filter((row, index) => rows.findIndex(({ work }) => work === row.work) === index);
}

/** The largest count where there are several steps: each has to keep to the budget. */
function countOf(row: Row, run: CountedRun | undefined, factory: CardFactory): Count {
  const steps = (row.counted === "first" ? run?.steps.slice(0, 1) : run?.steps.slice(1)) ?? [];
  if (steps.length === 0) return run?.refusal === undefined ? "nothing done" : `refused: ${run.refusal}`;
  if (!steps.every((step) => isRight(row.work, step, (key) => factory.publicKey(key)))) return "wrong result";
  return Math.max(...steps.map(({ exchanges }) => exchanges.length));
}

const PATIENCE = 15_000;

/** Waits until the daemon has seen that a card is in one of its readers, or none. */
async function untilCard(daemon: Daemon, present: boolean): Promise<void> {
  const pcsc = new Pcscd({ socket: daemon.socketPath });
  try {
    for (let waited = 0; waited < PATIENCE; waited += 20) {
      const readers = await pcsc.readers();
      if (readers.some((reader) => reader.present && reader.atr.length > 0) === present) return;
      await sleep(20);
    }
  } finally {
    await pcsc.close();
  }
  throw new Error(`the reader saw no card ${present ? "come" : "go"} in ${PATIENCE} ms`);
}

/** Exchanges as lines: what went over, without data. */
export function exchangeLines(exchanges: readonly Exchange[]): readonly string[] {
  return exchanges.map(({ header, sent, received, status }) => `  ${header} ${sent} -> ${received} ${status}`);
}
