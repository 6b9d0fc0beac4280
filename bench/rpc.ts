import { fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { SoftHsm } from "../test/interop/p11kit/softhsm.ts";
import { requireLibrary } from "../test/interop/rig/require.ts";
import { run } from "../test/interop/rig/run.ts";
import { PIN } from "./cards.ts";
import { compile } from "./drivers.ts";
import { median } from "./median.ts";
import type { HostFigure } from "./report.ts";

/** Runs of the client at each server, in turn. */
const TURNS = 7;
/** Calls of each kind in one run. */
const ROUNDS = 3000;

/**
 * What a call from a C program costs: p11-kit-client.so at this project's server, and at p11-kit's own with SoftHSM. Each server is a process
 * of its own behind a Unix socket. Here a card answers at once what it computed before; SoftHSM computes its signatures.
 */
export async function rpcTimes(folder: string): Promise<readonly HostFigure[]> {
  const client = await compile("rpc.cpp", path.join(folder, "rpc"));
  const module = requireLibrary("pkcs11/p11-kit-client.so", "p11-kit-modules");
  await using hsm = await SoftHsm.start("bench", PIN);
  const socket = path.join(folder, "rpc-socket");
  const server = fork(fileURLToPath(new URL("rpc-server.ts", import.meta.url)), [socket], {
    execArgv: ["--import", "tsx"],
  });
  await once(server, "message");
  const [own, other]: [Times, Times] = [new Times(), new Times()];
  const time = async (times: Times, address: string, ...args: readonly string[]): Promise<void> => {
    const env = { P11_KIT_SERVER_ADDRESS: address, BENCH_PIN: PIN };
    const { code, stdout } = await run(client, [module, String(ROUNDS), ...args], { env });
    if (code !== 0) throw new Error(`rpc: ${stdout}`);
    times.add(stdout);
  };
  for (let turn = 0; turn < TURNS; turn++) {
    await time(own, `unix:path=${socket}`);
    await time(other, hsm.address, "generate");
  }
  const gone = once(server, "exit");
  server.disconnect();
  await gone;
  const figure = (title: string, kind: "trivial" | "signature"): HostFigure => ({
    title: `${title} over p11-kit's protocol / p11-kit server with SoftHSM`,
    value: own.of(kind) / other.of(kind),
    unit: "ratio",
    atMost: 2,
    remark: `${own.of(kind).toFixed(0)} µs; ${other.of(kind).toFixed(0)} µs; medians of ${TURNS} runs of ${ROUNDS} calls by a C program`,
  });
  return [figure("C_GetSessionInfo", "trivial"), figure("C_SignInit and C_Sign, P-256,", "signature")];
}

class Times {
  readonly #trivial: number[] = [];
  readonly #signature: number[] = [];

  add(line: string): void {
    const [trivial = NaN, signature = NaN] = line.trim().split(" ").map(Number);
    this.#trivial.push(trivial);
    this.#signature.push(signature);
  }

  of(kind: "trivial" | "signature"): number {
    return median(kind === "trivial" ? this.#trivial : this.#signature);
  }
}
