import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { once } from "node:events";
import { tmpdir } from "node:os";
import path from "node:path";
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { requireLibrary, requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";

/** A token of SoftHSM, and p11-kit's own server in front of it. */
export class SoftHsm implements AsyncDisposable {
  readonly #folder: string;
  readonly #server: ChildProcess;
  /** As P11_KIT_SERVER_ADDRESS has it: p11-kit's server listens there. */
  readonly address: string;
  /** A command that serves the same module. */
  readonly command: string;

  private constructor(folder: string, server: ChildProcess, address: string, command: string) {
    this.#folder = folder;
    this.#server = server;
    this.address = address;
    this.command = command;
  }

  static async start(label: string, pin: string): Promise<SoftHsm> {
    requirePrograms("softhsm2-util", "p11-kit");
    const module = requireLibrary("softhsm/libsofthsm2.so", "softhsm2");
    const folder = await mkdtemp(path.join(tmpdir(), "softhsm-"));
    await mkdir(path.join(folder, "tokens"));
    const conf = path.join(folder, "softhsm2.conf");
    await writeFile(conf, `directories.tokendir = ${path.join(folder, "tokens")}\nlog.level = ERROR\n`);
    const env = { SOFTHSM2_CONF: conf };
    const init = ["--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "87654321"];
    const { code, stderr } = await run("softhsm2-util", init, { env });
    if (code !== 0) throw new Error(`softhsm2-util: ${stderr}`);
    const socket = path.join(folder, "socket");
    const args = ["server", "--foreground", "--provider", module, "--name", socket, "pkcs11:"];
    const server = spawn("p11-kit", args, {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    // It says where it is before it is there.
    for (let tries = 0; !existsSync(socket) && tries < 500; tries++) await sleep(10);
    await sleep(50);
    // Another p11-kit than Debian's: P11KIT_REMOTE=/opt/p11-kit/libexec/p11-kit/p11-kit-remote.
    const remote = process.env["P11KIT_REMOTE"] ?? "p11-kit remote";
    return new SoftHsm(folder, server, `unix:path=${socket}`, `env SOFTHSM2_CONF=${conf} ${remote} ${module}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#server, "exit");
    this.#server.kill();
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
