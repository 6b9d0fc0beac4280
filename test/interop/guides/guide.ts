import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { run } from "../rig/run.ts";
import { MAIN } from "../../cli/built.ts";

const GUIDES = new URL("../../../docs/guides/", import.meta.url);

/** The commands of a guide in docs/guides/, in its order. */
async function commandsOf(guide: string): Promise<string> {
  const text = await readFile(new URL(`${guide}.md`, GUIDES), "utf8");
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block).join("\n");
}

/** A place to follow guides in: a home, a PATH with `cryptoki` on it, a host named "host" to log in to, and a PIN to give. */
export class Workplace implements AsyncDisposable {
  readonly #folder: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(folder: string, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#env = env;
  }

  /** @param env Where the card is. */
  static async make(env: Readonly<Record<string, string>>, pin: string): Promise<Workplace> {
    const folder = await mkdtemp(path.join(tmpdir(), "cryptoki-guides-"));
    const at = (...names: readonly string[]): string => path.join(folder, ...names);
    for (const name of ["bin", "run"]) await mkdir(at(name), { mode: 0o700 });
    const program = async (name: string, ...lines: readonly string[]): Promise<void> => {
      await writeFile(at("bin", name), ["#!/bin/bash", ...lines, ""].join("\n"));
      await chmod(at("bin", name), 0o755);
    };
    await program("cryptoki", `exec "${process.execPath}" "${MAIN}" "$@"`);
    await program(
      "age-plugin-cryptoki",
      `exec "${process.execPath}" "${path.join(path.dirname(MAIN), "age-plugin-cryptoki.cjs")}" "$@"`,
    );
    // A login to this machine by this user, whatever the guide calls them.
    await program("ssh", `exec /usr/bin/ssh -F "${at("ssh_config")}" "\${@/#me@/$(id -un)@}"`);
    await program("askpass", `printf '%s\\n' '${pin}'`);
    await writeSshHost(folder);
    return new Workplace(folder, {
      ...env,
      HOME: folder,
      PATH: `${at("bin")}:${process.env["PATH"] ?? ""}`,
      XDG_RUNTIME_DIR: at("run"),
      SSH_ASKPASS: at("bin", "askpass"),
      SSH_ASKPASS_REQUIRE: "force",
      PIN: pin,
    });
  }

  /** Runs all commands of a guide in one shell, which ends with the first that fails; what they wrote, and its exit code. */
  async follow(guide: string): Promise<{ readonly code: number | null; readonly output: string }> {
    const folder = path.join(this.#folder, guide);
    await mkdir(folder);
    const { PIN: pin = "", ...env } = this.#env;
    await writeFile(path.join(folder, "guide.sh"), await commandsOf(guide));
    const leave = "kill ${P11_KIT_SERVER_PID:-} ${SSH_AGENT_PID:-} 2>/dev/null || true";
    // To a file: what the commands leave running would keep a pipe open.
    const script = `trap '${leave}' EXIT; source ./guide.sh > output 2>&1`;
    const { code } = await run("bash", ["-euo", "pipefail", "-c", script], {
      cwd: folder,
      env,
      input: `${pin}\n`,
      timeout: 120_000,
    });
    return { code, output: await readFile(path.join(folder, "output"), "utf8") };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** An sshd that a client starts for itself, with the keys in authorized_keys where the guide is followed. */
async function writeSshHost(folder: string): Promise<void> {
  const at = (name: string): string => path.join(folder, name);
  // As root, sshd wants the folder that the init system makes.
  if (process.getuid?.() === 0) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("host_key")]);
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", at("own_key")]);
  const sshd = [
    `HostKey ${at("host_key")}`,
    // The keys of the guides for OpenSSH, and one for guides that need a login only.
    `AuthorizedKeysFile ${path.join(folder, "openssh", "authorized_keys")} ${path.join(folder, "ssh-agent", "authorized_keys")} ${at("own_key.pub")}`,
    "StrictModes no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "UsePAM no",
    `SetEnv PATH=${at("bin")}:/usr/bin:/bin`,
    "AcceptEnv PCSCLITE_CSOCK_NAME",
  ];
  const ssh = [
    "Host host",
    `  ProxyCommand /usr/sbin/sshd -i -f ${at("sshd_config")} -E ${at("sshd.log")}`,
    "  StrictHostKeyChecking no",
    `  UserKnownHostsFile ${at("known_hosts")}`,
    "  LogLevel ERROR",
    "  SendEnv PCSCLITE_CSOCK_NAME",
    `Match host host exec "test ! -e authorized_keys"`,
    `  IdentityFile ${at("own_key")}`,
  ];
  await writeFile(at("sshd_config"), `${sshd.join("\n")}\n`);
  await writeFile(at("ssh_config"), `${ssh.join("\n")}\n`);
}
