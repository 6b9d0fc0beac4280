import { CommanderError } from "commander";
import { Deadline, untilAborted } from "../async/index.ts";
import type { Environment } from "./environment.ts";
import { EXIT } from "./exit-code.ts";
import { FileError, TimeoutError } from "./failure.ts";
import { completeVirtual } from "./global-options.ts";
import { written } from "./output.ts";
import { createProgram } from "./program.ts";
import { report } from "./report.ts";

/** Milliseconds for the last output of a command that was given up, if its reader is slow. */
const LAST_WORDS = 200;

/**
 * Runs one command line.
 * @param args What stands after the program's name.
 * @returns The exit code. What could be closed is closed by then, and every error has been told; it never rejects.
 */
export async function run(args: readonly string[], environment: Environment): Promise<number> {
  const { signal } = environment;
  let code: number = EXIT.OK;
  let gaveUp = false;
  try {
    await outcome(args, environment);
  } catch (error) {
    code = exitCode(error, args, environment);
    gaveUp = error instanceof TimeoutError;
  }
  const told = written(environment);
  if (gaveUp) await lastWords(told);
  else await untilAborted(told, signal).catch(() => lastWords(told));
  // A stream that failed after the command's end: a full disk, for one.
  const { reason } = signal as { readonly reason: unknown };
  return code === EXIT.OK && reason instanceof FileError ? exitCode(reason, args, environment) : code;
}

async function outcome(args: readonly string[], environment: Environment): Promise<void> {
  const program = createProgram(environment);
  const names = program.commands.map((command) => command.name());
  try {
    await program.parseAsync(completeVirtual(args, names), { from: "user" });
  } catch (error) {
    // --help and --version end this way too.
    if (!(error instanceof CommanderError && error.exitCode === 0)) throw error;
  }
}

function exitCode(error: unknown, args: readonly string[], environment: Environment): number {
  // A command group without its command: commander has printed the help by now.
  if (error instanceof CommanderError && error.code === "commander.help") return EXIT.USAGE;
  return report(error, environment, args.includes("--json"));
}

async function lastWords(told: Promise<void>): Promise<void> {
  await new Deadline(LAST_WORDS).race(told, () => undefined).catch(() => undefined);
}
