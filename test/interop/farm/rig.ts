import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { run } from "../rig/run.ts";

const PASSWORD = "of-this-test";

/** A nats-server with JetStream on a free port, whose store is kept when it is stopped and started. */
export class NatsServer implements AsyncDisposable {
  readonly #folder: string;
  readonly port: number;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
  }

  /** On all of this machine's addresses, with a user and a password. */
  static async start(): Promise<NatsServer> {
    const probe = createServer().listen(0, "127.0.0.1");
    await once(probe, "listening");
    const { port } = probe.address() as AddressInfo;
    probe.close();
    const server = new NatsServer(await mkdtemp(path.join(tmpdir(), "farm-")), port);
    await server.start();
    return server;
  }

  get url(): string {
    return this.urlAt("127.0.0.1");
  }

  urlAt(host: string): string {
    return `nats://farm:${PASSWORD}@${host}:${this.port}`;
  }

  async start(): Promise<void> {
    const args = ["-js", "-sd", this.#folder, "-p", `${this.port}`, "--user", "farm", "--pass", PASSWORD];
    const process = spawn("nats-server", args, { stdio: ["ignore", "ignore", "pipe"] });
    this.#process = process;
    for await (const line of createInterface(process.stderr)) if (line.includes("Server is ready")) break;
    process.stderr.resume();
  }

  async stop(): Promise<void> {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    process.kill("SIGTERM");
    await once(process, "exit");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** A worker in a process of its own, with virtual cards that share their keys with other workers of the same card file. */
export class WorkerProcess implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string, undefined>;

  private constructor(process: ChildProcess, lines: AsyncIterator<string, undefined>) {
    this.#process = process;
    this.#lines = lines;
  }

  /**
   * @param card A saved virtual card.
   * @param before A command that runs the worker, such as one of another network namespace.
   */
  static async start(
    url: string,
    card: string,
    env: Record<string, string> = {},
    before: readonly string[] = [],
  ): Promise<WorkerProcess> {
    const script = fileURLToPath(new URL("worker-main.ts", import.meta.url));
    const [program, ...args] = [...before, process.execPath, "--import", "tsx", script, url, card];
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...env },
    });
    const worker = new WorkerProcess(child, createInterface(child.stdout)[Symbol.asyncIterator]());
    await worker.line("ready");
    return worker;
  }

  /** Waits for a line that begins so. */
  async line(start: string): Promise<string> {
    for (;;) {
      const next = await this.#lines.next();
      if (next.done === true) throw new Error(`the worker ended before it said "${start}"`);
      if (next.value.startsWith(start)) return next.value;
    }
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }
}

/** Another machine, as the network sees it: a network namespace, joined with this one by a pair of virtual links. */
export class OtherMachine implements AsyncDisposable {
  readonly #name = `farm${process.pid}`;
  /** This machine's address, seen from there. */
  readonly host = `10.213.${process.pid % 200}.1`;
  /** What runs a command there. */
  readonly before = ["ip", "netns", "exec", this.#name];

  /** @returns Undefined where this user may not make network namespaces. */
  static async start(): Promise<OtherMachine | undefined> {
    const machine = new OtherMachine();
    const name = machine.#name;
    const made = await run("ip", ["netns", "add", name]).catch(() => undefined);
    if (made?.code !== 0) return undefined;
    const steps = [
      `link add ${name}a type veth peer name ${name}b netns ${name}`,
      `addr add ${machine.host}/30 dev ${name}a`,
      `link set ${name}a up`,
      `-n ${name} addr add ${machine.host.replace(/1$/u, "2")}/30 dev ${name}b`,
      `-n ${name} link set ${name}b up`,
    ];
    for (const step of steps) {
      if ((await run("ip", step.split(" "))).code === 0) continue;
      await machine[Symbol.asyncDispose]();
      return undefined;
    }
    return machine;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("ip", ["netns", "del", this.#name]);
  }
}
