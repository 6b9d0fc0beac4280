import { spawn } from "node:child_process";
import { onAbort, untilAborted } from "../async/index.ts";
import type { Environment } from "./environment.ts";
import { CliProcessError } from "./failure.ts";

/** What a program in the background says once it works. */
export interface Announcement {
  readonly address: string;
  readonly pid: number;
}

/** Set for the program in the background: its parent waits for a word. */
const ANNOUNCE = "CRYPTOKI_ANNOUNCE";

export const isInBackground = ({ env }: Environment): boolean => env[ANNOUNCE] !== undefined;

type Message = Announcement | { readonly error: string };

/**
 * Starts this program again, with the same command line and `more`, in a session of its own, and waits until it
 * {@link announce}s itself. It gets no PIN: they were taken out of process.env at the start.
 * @param signal Ends the wait, and the program that was started.
 * @throws {CliProcessError} what kept it from that; the signal's reason.
 */
export async function startInBackground(more: readonly string[], signal: AbortSignal): Promise<Announcement> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1), ...more], {
    detached: true,
    env: { ...process.env, [ANNOUNCE]: "1" },
    // Its streams would keep a shell waiting that reads ours: eval "$(cryptoki serve)".
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  const stop = onAbort(signal, () => child.kill());
  try {
    const said = new Promise<Message>((resolve, reject) => {
      child.once("message", (message) => {
        resolve(message as Message);
      });
      child.once("error", reject);
      child.once("exit", (code) => {
        reject(new CliProcessError(`the program in the background ended with ${String(code)}; see with --foreground`));
      });
    });
    const message = await untilAborted(said, signal);
    if ("error" in message) throw new CliProcessError(message.error);
    return message;
  } finally {
    stop();
    child.removeAllListeners();
    if (child.connected) child.disconnect();
    child.unref();
  }
}

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
