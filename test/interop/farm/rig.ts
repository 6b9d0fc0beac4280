import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A nats-server with JetStream on a free port, whose store is kept when it is stopped and started. */
export class NatsServer implements AsyncDisposable {
  readonly #folder: string;
  readonly port: number;
  #process: ChildProcess | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.port = port;
  }

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
    return `nats://127.0.0.1:${this.port}`;
  }

  async start(): Promise<void> {
    const args = ["-js", "-sd", this.#folder, "-p", `${this.port}`, "-a", "127.0.0.1"];
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
  readonly #lines: AsyncIterator<string>;

  private constructor(process: ChildProcess, lines: AsyncIterator<string>) {
    this.#process = process;
    this.#lines = lines;
  }

  /** @param card A saved virtual card. */
  static async start(url: string, card: string, env: Record<string, string> = {}): Promise<WorkerProcess> {
    const script = fileURLToPath(new URL("worker-main.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", script, url, card], {
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
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`the worker ended before it said "${start}"`);
      if (value.startsWith(start)) return value;
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
