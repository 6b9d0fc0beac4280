import { type ChildProcess, fork } from "node:child_process";
import type { KeyObject } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** Another process with this driver, a session and a login. */
export class OtherProgram implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** @param id CKA_ID of an RSA key, hexadecimal. */
  static async start(pin: string, id: string, publicKey: KeyObject): Promise<OtherProgram> {
    const main = fileURLToPath(new URL("other-program-main.ts", import.meta.url));
    const pem = publicKey.export({ format: "pem", type: "spki" }).toString();
    const child = fork(main, [pin, id, pem], {
      execArgv: ["--import", "tsx"],
      env: { ...process.env, NODE_OPTIONS: "" },
    });
    const program = new OtherProgram(child);
    const said = await program.#answer();
    if (said !== "ready") throw new Error(`the other program did not start: ${said}`);
    return program;
  }

  /** "ok", or what went wrong. */
  sign(): Promise<string> {
    const answer = this.#answer();
    this.#child.send("sign");
    return answer;
  }

  async #answer(): Promise<string> {
    const [said] = (await Promise.race([once(this.#child, "message"), once(this.#child, "exit")])) as [unknown];
    return String(said);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
