import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { requireLibrary } from "../test/interop/rig/require.ts";
import { run } from "../test/interop/rig/run.ts";
import { PIN } from "./cards.ts";
import { compile } from "./drivers.ts";
import { median } from "./median.ts";
import type { HostFigure } from "./report.ts";

const WARM_UP = 2;
const TURNS = 5;
/** Encrypted in each turn, in parts of 64 KiB. */
const MEBIBYTES = 256;

/**
 * AES-256-GCM in parts with a key of a session, beside SoftHSM: the processor's time of two processes, which take turns. And how much memory
 * all turns keep.
 */
export async function gcmTimes(folder: string): Promise<readonly HostFigure[]> {
  const hsm = await softHsm(folder);
  const file = fileURLToPath(new URL("gcm-session.ts", import.meta.url));
  const child = fork(file, [String(MEBIBYTES)], { execArgv: ["--import", "tsx"] });
  for (let turn = 0; turn < WARM_UP; turn++) await ask(child, "encrypt");
  const before = await ask(child, "memory");
  await ask(child, "encrypt");
  const [own, other]: [number[], number[]] = [[], []];
  for (let turn = 0; turn < TURNS; turn++) {
    own.push(await ask(child, "encrypt"));
    other.push(await hsm());
  }
  const after = await ask(child, "memory");
  const gone = once(child, "exit");
  child.kill();
  await gone;
  const [ours, theirs] = [median(own), median(other)];
  return [
    {
      title: "AES-256-GCM in parts of 64 KiB / SoftHSM",
      value: ours / theirs,
      unit: "ratio",
      atMost: 1.5,
      remark: `CPU time for ${MEBIBYTES} MiB: ${ours.toFixed(0)} ms; ${theirs.toFixed(0)} ms; medians of ${TURNS}`,
    },
    {
      title: `memory kept by AES-256-GCM after ${TURNS * MEBIBYTES} MiB`,
      value: (after - before) / 2 ** 20,
      unit: "MiB",
      atMost: 1,
    },
  ];
}

async function ask(child: ChildProcess, wanted: "encrypt" | "memory"): Promise<number> {
  const answer = once(child, "message") as Promise<[number]>;
  child.send(wanted);
  return (await answer)[0];
}

/** A new token of SoftHSM. @returns Encrypts with it, and tells the milliseconds. */
async function softHsm(folder: string): Promise<() => Promise<number>> {
  const module = requireLibrary("softhsm/libsofthsm2.so", "softhsm2");
  const program = await compile("gcm.cpp", path.join(folder, "gcm"));
  const tokens = path.join(folder, "softhsm-tokens");
  const conf = path.join(folder, "softhsm2.conf");
  await mkdir(tokens);
  await writeFile(conf, `directories.tokendir = ${tokens}\nlog.level = ERROR\n`);
  const env = { SOFTHSM2_CONF: conf, BENCH_PIN: PIN };
  const init = ["--init-token", "--free", "--label", "bench", "--pin", PIN, "--so-pin", "87654321"];
  const { code, stderr } = await run("softhsm2-util", init, { env });
  if (code !== 0) throw new Error(`softhsm2-util: ${stderr}`);
  return async () => {
    const { code, stdout } = await run(program, [module, String(MEBIBYTES)], { env });
    if (code !== 0) throw new Error(`gcm: ${stdout}`);
    return Number(stdout);
  };
}
