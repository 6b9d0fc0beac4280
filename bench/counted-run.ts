import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { MANAGEMENT_KEY, PIN } from "./cards.ts";
import type { CountingCard, Exchange } from "./counting-card.ts";
import type { Launch } from "./drivers.ts";

export interface Step {
  /** What the driver reported. */
  readonly detail: string;
  readonly exchanges: readonly Exchange[];
}

export interface CountedRun {
  readonly steps: readonly Step[];
  /** Why the driver did not come to the end, if it did not: "C_Sign 0x101". */
  readonly refusal?: string;
}

const PATIENCE = 60_000;

/**
 * Runs a driver in a fresh process with an empty home, so that nothing is known from before, and takes account of the
 * card's exchanges step by step. What comes after the last step (logout, closing) counts nowhere.
 */
export async function countedRun(card: CountingCard, launch: Launch, env: NodeJS.ProcessEnv): Promise<CountedRun> {
  const home = await mkdtemp(path.join(os.tmpdir(), "bench-home-"));
  try {
    card.take();
    return await follow(card, launch, { ...process.env, ...env, ...launch.env, HOME: home, XDG_CACHE_HOME: home });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

async function follow(card: CountingCard, launch: Launch, env: NodeJS.ProcessEnv): Promise<CountedRun> {
  const child = spawn(launch.program, launch.args, {
    env: { BENCH_PIN: PIN, BENCH_SO_PIN: MANAGEMENT_KEY, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    timeout: PATIENCE,
  });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  // A program that ends does not read its last line.
  child.stdin.on("error", () => undefined);
  let complaints = "";
  child.stderr.on("data", (chunk: Buffer) => (complaints += chunk.toString()));
  const steps: Step[] = [];
  let refusal: string | undefined;
  for await (const line of createInterface(child.stdout)) {
    if (line.startsWith("refused ")) refusal = line.slice("refused ".length);
    if (launch.oneStep === true || !line.startsWith("done ")) continue;
    steps.push({ detail: line.slice("done ".length), exchanges: card.take() });
    child.stdin.write("\n");
  }
  const code = await ended;
  if (launch.oneStep === true) steps.push({ detail: "", exchanges: card.take() });
  if (code !== 0) refusal ??= complaints.trim().split("\n").at(-1) ?? `exit code ${code ?? "none"}`;
  return refusal === undefined ? { steps } : { steps, refusal };
}
