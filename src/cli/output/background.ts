import { spawn } from "node:child_process";
import { onAbort, untilAborted } from "../../async/index.ts";
import { CliProcessError } from "./failures.ts";
import type { Environment } from "./printer.ts";

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
 * @param streams "stderr": what it says on standard error is seen where ours is.
 * @param signal Ends the wait, and the program that was started.
 * @throws {CliProcessError} what kept it from that; the signal's reason.
 */
export async function startInBackground(
  more: readonly string[],
  streams: "stderr" | "none",
  signal: AbortSignal,
): Promise<Announcement> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1), ...more], {
    detached: true,
    env: { ...process.env, [ANNOUNCE]: "1" },
    // Its standard output would keep a shell waiting that reads ours: eval "$(cryptoki serve)". Of standard error the same is true for a
    // program that reads both.
    stdio: ["ignore", "ignore", streams === "stderr" ? "inherit" : "ignore", "ipc"],
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

/**
 * Runs `start`, and tells the program that started this one in the background whether it succeeded.
 * @returns Whether it went well. What went wrong is told by the program that waited.
 * @throws what `start` throws, if no program waits for the outcome.
 */
export async function announce(start: () => Promise<Announcement>): Promise<boolean> {
  const tell = (message: Message): Promise<void> =>
    new Promise((resolve) => {
      process.send?.(message, () => {
        if (process.connected) process.disconnect();
        resolve();
      });
    });
  const isHeard = process.send !== undefined && process.connected;
  try {
    const announcement = await start();
    if (isHeard) await tell(announcement);
    return true;
  } catch (error) {
    if (!isHeard) throw error;
    await tell({ error: error instanceof Error ? error.message : String(error) });
    return false;
  }
}
