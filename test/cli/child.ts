import { spawn, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { CACHE, MAIN } from "./built.ts";

/** The program, as a command line for a shell has it. */
export const PROGRAM = `/usr/bin/env XDG_CACHE_HOME=${CACHE} ${process.execPath} ${MAIN}`;

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program in a process and a session of its own: without a terminal to ask on. */
export function start(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  stdio: StdioOptions = ["pipe", "pipe", "pipe"],
): ChildProcess {
  const { PATH, HOME } = process.env;
  return spawn(process.execPath, [MAIN, ...args], {
    detached: true,
    env: { PATH, HOME, XDG_CACHE_HOME: CACHE, ...env },
    stdio,
  });
}

/** How it ended, and what it wrote. */
export async function end(child: ChildProcess): Promise<Ended> {
  const [stdout, stderr, [code, signal]] = await Promise.all([
    child.stdout ? text(child.stdout) : "",
    child.stderr ? text(child.stderr) : "",
    once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>,
  ]);
  return { code, signal, stdout, stderr };
}
