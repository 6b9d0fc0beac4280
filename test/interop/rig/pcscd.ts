import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createConnection, createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { requireLibrary, requirePrograms } from "./require.ts";
import { run } from "./run.ts";

/** Where Debian's pcscd listens; the path is fixed when the daemon is compiled, so there is one daemon a machine. */
const SOCKET = "/run/pcscd/pcscd.comm";
/** Who holds this lock owns the machine's pcscd. By hand: `flock /tmp/pcscd.lock pcscd --foreground`. */
const LOCK = path.join(os.tmpdir(), "pcscd.lock");
const LOCK_WAIT_SECONDS = 900;
/** Milliseconds for the daemon to come up, to answer, and to end. */
const START_WAIT = 15_000;
const PATIENCE = 3_000;
/** The vpcd driver's own port (35963), taken for granted in a daemon that was started elsewhere. */
const VPCD_PORT = 0x8c7b;

export interface PcscdOptions {
  /** Name of the virtual reader; pcscd adds " 00 00" for the first slot and " 00 01" for the second. */
  readonly friendlyName?: string;
  /** False starts a daemon without any reader. */
  readonly reader?: boolean;
  /** More arguments for pcscd, such as `--apdu`. */
  readonly args?: readonly string[];
}

/**
 * A running pcscd with one virtual reader of two slots. Waits for its turn: one daemon a machine, one owner a daemon.
 * A daemon that was started elsewhere is used, if its reader is the one asked for, and left running. One started here ends
 * with the scope, and with this process should that crash. Give the hook that calls this minutes: other test files may
 * be at it.
 */
export async function startPcscd(options: PcscdOptions = {}): Promise<Pcscd> {
  requirePrograms("pcscd", "flock", "setpriv", "cc");
  requireLibrary("pcsc/drivers/serial/libifdvpcd.so", "vsmartcard-vpcd");
  const lock = await takeLock();
  const daemon = new Pcscd(lock, options);
  try {
    await daemon.begin();
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
  return daemon;
}

class Pcscd implements AsyncDisposable {
  readonly #lock: ChildProcess;
  #options: PcscdOptions;
  #process: ChildProcess | undefined;
  #folder: string | undefined;
  #preload: string | undefined;
  #log = "";
  #port = VPCD_PORT;
  #readers: readonly string[] = [];

  constructor(lock: ChildProcess, options: PcscdOptions) {
    this.#lock = lock;
    this.#options = options;
  }

  /** Reader names when the daemon last started, in slot order. */
  get readers(): readonly string[] {
    return this.#readers;
  }

  /** TCP port on 127.0.0.1 where the first slot takes a virtual card; the second slot has the next one. */
  get port(): number {
    return this.#port;
  }

  get socketPath(): string {
    return SOCKET;
  }

  /** What a client needs in its environment to find this daemon and no other. */
  get env(): Readonly<Record<string, string>> {
    return { PCSCLITE_CSOCK_NAME: SOCKET };
  }

  /** What the daemon wrote since it was first started here. */
  get log(): string {
    return this.#log;
  }

  /** Finds the daemon that runs, or starts one. For {@link startPcscd}. */
  async begin(): Promise<void> {
    const running = await readerNames();
    if (running === undefined) {
      this.#port = await freePortPair();
      await this.#start();
      return;
    }
    const wanted = this.#options.friendlyName ?? "Virtual PCD";
    if (!running.some((name) => name.startsWith(wanted))) {
      throw new Error(`a pcscd without a reader "${wanted}" runs on this machine: stop it, then run the tests again`);
    }
    this.#readers = running.filter((name) => name.startsWith(wanted));
  }

  /** Ends the daemon at once (SIGKILL), or as `signal` says, and keeps the turn. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#process;
    if (!child) throw new Error("this pcscd was started elsewhere: stop it, then run the tests again");
    this.#process = undefined;
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, "exit");
      child.kill(signal);
      // Asked to end, it waits for its drivers, and a driver for its card.
      const impatience = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
      await ended;
      clearTimeout(impatience);
    }
  }

  /** Ends the daemon, unless {@link kill} did, and starts it on the same port; `changes` go over the first options. */
  async restart(changes: PcscdOptions = {}): Promise<void> {
    if (this.#process) await this.kill("SIGTERM");
    this.#options = { ...this.#options, ...changes };
    await this.#start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process) await this.kill("SIGTERM");
    if (this.#folder) await rm(this.#folder, { recursive: true, force: true });
    // Where nothing else keeps the process running, it would end here.
    this.#lock.ref();
    this.#lock.stdin?.end();
    if (this.#lock.exitCode === null) await once(this.#lock, "exit");
  }

  async #start(): Promise<void> {
    const deadline = performance.now() + START_WAIT;
    do {
      if (await this.#try()) return;
      // The daemon of a test that was killed may still be ending.
      await sleep(200);
    } while (this.#log.includes("seems to be running") && performance.now() < deadline);
    const hint = process.getuid?.() === 0 ? "" : " (it needs root: sudo, or start one yourself)";
    throw new Error(`pcscd did not come up${hint}:\n${this.#log}`);
  }

  /** Whether the daemon came up with the readers that it should have. */
  async #try(): Promise<boolean> {
    const config = await this.#writeConfiguration();
    this.#preload ??= await this.#buildPreload();
    // The daemon must not outlive a test that is killed: it would be in everybody's way.
    const args = ["--pdeathsig", "KILL", "pcscd", "--foreground", "--config", config, ...(this.#options.args ?? [])];
    const child = spawn("setpriv", args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin`, LD_PRELOAD: this.#preload },
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk: Buffer) => (this.#log += chunk.toString()));
    }
    child.on("error", (error) => (this.#log += error.message));
    this.#process = child;
    const expected = this.#options.reader === false ? 0 : 2;
    for (let waited = 0; waited < START_WAIT && child.exitCode === null; waited += 20) {
      const names = await readerNames();
      if (names?.length === expected) {
        this.#readers = names;
        return true;
      }
      await sleep(20);
    }
    return false;
  }

  async #buildPreload(): Promise<string> {
    const library = path.join(await this.#temporaryFolder(), "nodelay.so");
    const source = fileURLToPath(new URL("nodelay.c", import.meta.url));
    const { code, stderr } = await run("cc", ["-shared", "-fPIC", "-O1", "-o", library, source]);
    if (code !== 0) throw new Error(`${source} does not compile:\n${stderr}`);
    return library;
  }

  async #temporaryFolder(): Promise<string> {
    this.#folder ??= await mkdtemp(path.join(os.tmpdir(), "pcscd-"));
    return this.#folder;
  }

  async #writeConfiguration(): Promise<string> {
    const folder = path.join(await this.#temporaryFolder(), "reader.conf.d");
    const name = this.#options.friendlyName ?? "Virtual PCD";
    const port = `0x${this.#port.toString(16)}`;
    const lines = [
      `FRIENDLYNAME "${name}"`,
      `DEVICENAME   /dev/null:${port}`,
      `LIBPATH      ${requireLibrary("pcsc/drivers/serial/libifdvpcd.so", "vsmartcard-vpcd")}`,
      `CHANNELID    ${port}`,
      "",
    ];
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, "vpcd"), this.#options.reader === false ? "" : lines.join("\n"));
    return folder;
  }
}

export type { Pcscd };

/** The kernel frees the lock when this process ends, however it ends: `cat` then reads the end of its input. */
async function takeLock(): Promise<ChildProcess> {
  const wait = String(LOCK_WAIT_SECONDS);
  const child = spawn("flock", ["--wait", wait, LOCK, "sh", "-c", "echo mine; exec cat"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const [said] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [Buffer | number | null];
  if (!Buffer.isBuffer(said))
    throw new Error(`another process kept ${LOCK} for ${LOCK_WAIT_SECONDS} seconds; see: fuser ${LOCK}`);
  child.unref();
  return child;
}

/** The readers of the daemon that answers now; undefined if none does. Written apart from the client that is tested. */
async function readerNames(): Promise<readonly string[] | undefined> {
  const GET_READERS_STATE = Buffer.from([0, 0, 0, 0, 0x12, 0, 0, 0]);
  const RECORD = 184;
  const socket = createConnection(SOCKET);
  socket.setTimeout(PATIENCE, () => socket.destroy());
  let answer = Buffer.alloc(0);
  try {
    await once(socket, "connect");
    socket.write(GET_READERS_STATE);
    while (answer.length < 16 * RECORD) {
      const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "close")])) as [unknown];
      if (!Buffer.isBuffer(chunk)) return undefined;
      answer = Buffer.concat([answer, chunk]);
    }
  } catch {
    return undefined;
  } finally {
    socket.destroy();
  }
  const names = Array.from({ length: 16 }, (_, index) => answer.toString("utf8", index * RECORD, index * RECORD + 128));
  return names.map((name) => name.replace(/\0.*$/su, "")).filter((name) => name !== "");
}

/** A TCP port with a free one after it. */
async function freePortPair(): Promise<number> {
  for (;;) {
    const first = createServer().listen(0, "0.0.0.0");
    await once(first, "listening");
    const address = first.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const second = createServer().listen(port + 1, "0.0.0.0");
    const free = await Promise.race([
      once(second, "listening").then(() => true),
      once(second, "error").then(() => false),
    ]);
    first.close();
    second.close();
    if (free) return port;
  }
}
