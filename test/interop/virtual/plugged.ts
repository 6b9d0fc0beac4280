import { setTimeout as sleep } from "node:timers/promises";
import { plugIntoVpcd, type VirtualCard } from "../../../src/virtual/index.ts";
import { type Pcscd, startPcscd } from "../rig/pcscd.ts";
import { run, type RunResult } from "../rig/run.ts";

/** A virtual card in a reader of the real pcscd, and the way to run programs on it. */
export class PluggedIn implements AsyncDisposable {
  readonly #daemon: Pcscd;
  readonly #plug: AsyncDisposable;

  constructor(daemon: Pcscd, plug: AsyncDisposable) {
    this.#daemon = daemon;
    this.#plug = plug;
  }

  /** Where programs find the daemon. */
  get env(): Readonly<Record<string, string>> {
    return this.#daemon.env;
  }

  /** What `program` wrote to its standard output. Fails with all that it said if it ends with anything but 0. */
  async succeed(program: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(program, ...args);
    if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${String(code)}:\n${stdout}${stderr}`);
    return stdout;
  }

  run(program: string, ...args: readonly string[]): Promise<RunResult> {
    return run(program, args, { env: this.#daemon.env });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#plug[Symbol.asyncDispose]();
    await this.#daemon[Symbol.asyncDispose]();
  }
}

/** Starts pcscd, plugs `card` in and waits until the reader has noticed. */
export async function plugIn(card: VirtualCard, friendlyName: string): Promise<PluggedIn> {
  const daemon = await startPcscd({ friendlyName });
  try {
    const plugged = new PluggedIn(daemon, await plugIntoVpcd(card, { port: daemon.port }));
    for (let tries = 0; tries < 50; tries++) {
      const { code } = await plugged.run("opensc-tool", "--reader", "0", "--atr");
      if (code === 0) return plugged;
      await sleep(100);
    }
    throw new Error(`pcscd did not notice the card:\n${daemon.log}`);
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
}
