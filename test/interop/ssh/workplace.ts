import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { MAIN } from "../../cli/built.ts";
import { run, type RunResult } from "../rig/run.ts";

/** A home for ssh and git, with an agent over the cards of pcscd, and a program that gives the PIN and counts how often. */
export class SshWorkplace implements AsyncDisposable {
  readonly folder = mkdtempSync(path.join(os.tmpdir(), "ssh-"));
  readonly #env: Record<string, string>;
  readonly #children: ChildProcess[] = [];

  constructor(env: Readonly<Record<string, string>>, pin: string) {
    const bin = path.join(this.folder, "bin");
    mkdirSync(bin);
    mkdirSync(this.file("run"), { mode: 0o700 });
    this.#program("askpass", `echo asked >> ${this.file("asked")}`, `echo ${pin}`);
    this.#program("cryptoki", `exec ${process.execPath} ${MAIN} "$@"`);
    for (const name of ["cryptoki-git-sign", "age-plugin-cryptoki"]) {
      this.#program(name, `exec ${process.execPath} ${path.join(path.dirname(MAIN), `${name}.cjs`)} "$@"`);
    }
    this.#env = {
      ...env,
      HOME: this.folder,
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      XDG_RUNTIME_DIR: this.file("run"),
      XDG_CACHE_HOME: this.file("cache"),
      SSH_ASKPASS: path.join(bin, "askpass"),
      SSH_ASKPASS_REQUIRE: "force",
      GIT_CONFIG_NOSYSTEM: "1",
    };
  }

  /** What is run here has in its environment. */
  get env(): Readonly<Record<string, string>> {
    return this.#env;
  }

  #program(name: string, ...lines: readonly string[]): void {
    const file = path.join(this.folder, "bin", name);
    writeFileSync(file, ["#!/bin/sh", ...lines, ""].join("\n"));
    chmodSync(file, 0o755);
  }

  file(name: string, content?: string): string {
    const file = path.join(this.folder, name);
    if (content !== undefined) writeFileSync(file, content);
    return file;
  }

  read(name: string): string {
    return readFileSync(this.file(name), "utf8");
  }

  /** How often the PIN was asked for since this was called last. */
  asked(): number {
    try {
      return this.read("asked").trim().split("\n").length;
    } catch {
      return 0;
    } finally {
      rmSync(this.file("asked"), { force: true });
    }
  }

  /** Starts the agent; its variables hold for all that is run afterwards. */
  async startAgent(...args: readonly string[]): Promise<void> {
    const child = spawn(process.execPath, [MAIN, "agent", "--foreground", ...args], {
      env: { ...process.env, ...this.#env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    let output = "";
    child.stderr.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
    while (!output.includes("echo Agent pid")) {
      const [chunk] = (await Promise.race([once(child.stdout, "data"), once(child, "exit")])) as [Buffer | number];
      if (!Buffer.isBuffer(chunk)) throw new Error(`the agent ended with ${chunk}: ${this.log}`);
      output += chunk.toString();
    }
    this.#env["SSH_AUTH_SOCK"] = /SSH_AUTH_SOCK=(.*?);/u.exec(output)?.[1] ?? "";
  }

  /** What the agent wrote to its standard error. */
  log = "";

  /** Ends the agent as a session's end does. @returns Its exit code. */
  async stopAgent(): Promise<number | null> {
    const child = this.#children.pop();
    if (!child) return null;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const [code] = (await ended) as [number | null];
    return code;
  }

  run(program: string, ...args: readonly string[]): Promise<RunResult> {
    return run(program, args, { cwd: this.folder, env: this.#env });
  }

  /** Standard output of a program that ends with 0. */
  async succeed(program: string, ...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(program, ...args);
    if (code !== 0)
      throw new Error(`${program} ${args.join(" ")} ended with ${String(code)}:\n${stdout}${stderr}\n${this.log}`);
    return stdout;
  }

  /** Runs lines of a shell in a folder. */
  async shell(script: string, folder = this.folder): Promise<RunResult> {
    return run("bash", ["-euo", "pipefail", "-c", script], { cwd: folder, env: this.#env, timeout: 120_000 });
  }

  /** An sshd on a port of its own, as this user; `ssh host` logs in to it. */
  async startSshd(): Promise<void> {
    if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 });
    const port = await freePort();
    await this.succeed("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", this.file("host_key"));
    const config = [
      `Port ${port}`,
      "ListenAddress 127.0.0.1",
      `HostKey ${this.file("host_key")}`,
      `AuthorizedKeysFile ${this.file("authorized_keys")}`,
      "PidFile none",
      "StrictModes no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "UsePAM no",
      "PermitRootLogin yes",
      "LogLevel ERROR",
    ];
    this.file("sshd_config", `${config.join("\n")}\n`);
    const ssh = [
      "Host host other",
      "  HostName 127.0.0.1",
      `  Port ${port}`,
      `  User ${os.userInfo().username}`,
      "  HostKeyAlias host",
      `  UserKnownHostsFile ${this.file("known_hosts")}`,
      "  GlobalKnownHostsFile /dev/null",
      "  BatchMode yes",
      "  LogLevel ERROR",
    ];
    mkdirSync(this.file(".ssh"), { mode: 0o700 });
    this.file("ssh_config", `${ssh.join("\n")}\n`);
    this.file("known_hosts", `host ${this.read("host_key.pub")}`);
    const child = spawn("/usr/sbin/sshd", ["-D", "-e", "-f", this.file("sshd_config")], { stdio: "ignore" });
    this.#children.unshift(child);
    await listening(port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill();
      await ended;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address ? address.port : 0;
}

/** Resolves when something listens on the port. */
async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 1000; tries++) {
    const { code } = await run("bash", ["-c", `exec 3<>/dev/tcp/127.0.0.1/${port}`]);
    if (code === 0) return;
  }
  throw new Error("sshd does not listen");
}
