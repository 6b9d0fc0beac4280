import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { requireLibrary } from "../rig/require.ts";
import { run } from "../rig/run.ts";

/** What one program did in its time. */
export interface Result {
  readonly signed: number;
  readonly failed: number;
  /** Of the last call that failed. */
  readonly last: string;
}

/** A program with its arguments; it speaks as module-signer.c does. */
export type Command = readonly [program: string, ...args: string[]];

/** A program at the card, logged in, which signs from {@link start} to {@link stop}. */
class Signer {
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines;
  }

  static async launch([program, ...args]: Command): Promise<Signer> {
    const env = { ...process.env, NODE_OPTIONS: "" };
    const child = spawn(program, args, { env, stdio: ["pipe", "pipe", "inherit"] });
    const signer = new Signer(child, createInterface({ input: child.stdout }));
    const said = await signer.#line();
    if (said !== "ready") throw new Error(`${program} did not log in: ${said}`);
    return signer;
  }

  start(): void {
    this.#child.stdin?.write("start\n");
  }

  async stop(): Promise<Result> {
    const answer = this.#line();
    this.#child.stdin?.write("stop\n");
    const said = await answer;
    const [, signed, failed, last = ""] = /^signed (\d+) failed (\d+) (.*)$/u.exec(said) ?? [];
    if (signed === undefined) throw new Error(`a program ended early: ${said}`);
    return { signed: Number(signed), failed: Number(failed), last };
  }

  async #line(): Promise<string> {
    const [line] = (await Promise.race([once(this.#lines, "line"), once(this.#child, "exit")])) as [unknown];
    return String(line);
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

/** Results of programs that sign on one card at the same time, in the order of `commands`. */
export async function contend(commands: readonly Command[], seconds: number): Promise<readonly Result[]> {
  const signers: Signer[] = [];
  try {
    // One after the other: who is slow to log in must not be late.
    for (const command of commands) signers.push(await Signer.launch(command));
    for (const signer of signers) signer.start();
    // This is what is measured: how much is done in this time.
    await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
    return await Promise.all(signers.map((signer) => signer.stop()));
  } finally {
    for (const signer of signers) signer[Symbol.dispose]();
  }
}

/** This library. */
export function ourCommand(pin: string, id: string, publicKey: string): Command {
  const main = fileURLToPath(new URL("contention-main.ts", import.meta.url));
  return [process.execPath, "--import", "tsx", main, pin, id, publicKey];
}

/** Compiles module-signer.c into `folder`. */
export async function compileModuleSigner(folder: string): Promise<string> {
  const program = path.join(folder, "module-signer");
  const source = fileURLToPath(new URL("module-signer.c", import.meta.url));
  const { code, stderr } = await run("cc", ["-O1", "-o", program, source, "-ldl"]);
  if (code !== 0) throw new Error(`${source} does not compile:\n${stderr}`);
  return program;
}

/**
 * OpenSC's module.
 * @param signer From {@link compileModuleSigner}.
 * @param pause Milliseconds between two signatures.
 */
export function openScCommand(signer: string, pin: string, id: string, pause = 0): Command {
  return [signer, requireLibrary("opensc-pkcs11.so", "opensc-pkcs11"), pin, id, String(pause)];
}
