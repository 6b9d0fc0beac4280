import { spawn } from "node:child_process";
import { onAbort, untilAborted } from "../../async/index.ts";
import { CliProcessError } from "./failures.ts";
import type { Environment } from "./printer.ts";

/** The message of a background program once it works. */
export interface Announcement {
  readonly address: string;
  readonly pid: number;
}

/** Set for the background program: its parent waits for its message. */
const ANNOUNCE = "CRYPTOKI_ANNOUNCE";

export const isInBackground = ({ env }: Environment): boolean => env[ANNOUNCE] !== undefined;

type Message = Announcement | { readonly error: string };

/**
 * Starts this program again with the same command line and `more`, in a process session of its own, and waits until it
 * {@link announce}s itself. It gets no PIN: they were removed from process.env at the start.
 * @param streams "stderr": its standard error is ours.
 * @param signal Ends the wait, and the program that was started.
 * @throws {CliProcessError} the error of that program; the signal's reason.
 */
export async function startInBackground(
  more: readonly string[],
  streams: "stderr" | "none",
  signal: AbortSignal,
): Promise<Announcement> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1), ...more], {
    detached: true,
    env: { ...process.env, [ANNOUNCE]: "1" },
    // If it kept our standard output, a shell that reads it would wait: eval "$(cryptoki serve)". The same holds for a
    // program that reads standard error.
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
        reject(
          new CliProcessError(
            `the program in the background ended with ${String(code)}; find the reason with --foreground`,
          ),
        );
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
 * Runs `start`, and tells the parent of a background program whether it succeeded.
 * @returns Whether it succeeded. If not, the parent reports the error.
 * @throws the error of `start`, if no parent waits.
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
