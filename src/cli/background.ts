import { spawn } from "node:child_process";
import type { Environment } from "./environment.ts";
import { CliProcessError } from "./failure.ts";
import { NEW_PIN, PUK } from "./new-pin.ts";
import { SO_PIN } from "./officer.ts";
import { PIN } from "./pin.ts";

/** What a program in the background says once it works. */
export interface Announcement {
  readonly address: string;
  readonly pid: number;
}

/** Set for the program in the background: its parent waits for a word. */
const ANNOUNCE = "CRYPTOKI_ANNOUNCE";

export const isInBackground = ({ env }: Environment): boolean => env[ANNOUNCE] !== undefined;

/** A server asks nobody for a PIN: what stands in its environment would only stay there for as long as it runs. */
const SECRETS: readonly string[] = [PIN, NEW_PIN, PUK, SO_PIN].map(({ variable }) => variable);

type Message = Announcement | { readonly error: string };

/**
 * Starts this program again, with the same command line and `more`, in a session of its own, and waits until it
 * {@link announce}s itself.
 * @throws {CliProcessError} what kept it from that.
 */
export async function startInBackground(more: readonly string[]): Promise<Announcement> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1), ...more], {
    detached: true,
    env: { ...withoutSecrets(process.env), [ANNOUNCE]: "1" },
    // Its streams would keep a shell waiting that reads ours: eval "$(cryptoki serve)".
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  try {
    const message = await new Promise<Message>((resolve, reject) => {
      child.once("message", (said) => {
        resolve(said as Message);
      });
      child.once("error", reject);
      child.once("exit", (code) => {
        reject(new CliProcessError(`the program in the background ended with ${String(code)}; see with --foreground`));
      });
    });
    if ("error" in message) throw new CliProcessError(message.error);
    return message;
  } finally {
    child.removeAllListeners();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

const withoutSecrets = (env: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(env).filter(([name]) => !SECRETS.includes(name)));

/** Does what there is to do at the start, and tells how it went to whoever started this in the background. */
export async function announce(start: () => Promise<Announcement>): Promise<void> {
  const tell = (message: Message): Promise<void> =>
    new Promise((resolve) => {
      if (!process.send || !process.connected) resolve();
      else {
        process.send(message, () => {
          if (process.connected) process.disconnect();
          resolve();
        });
      }
    });
  try {
    await tell(await start());
  } catch (error) {
    await tell({ error: error instanceof Error ? error.message : String(error) });
    throw error;
  }
}
