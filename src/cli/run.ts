import { CommanderError } from "commander";
import type { Environment } from "./environment.ts";
import { EXIT } from "./exit-code.ts";
import { FileError } from "./failure.ts";
import { completeVirtual } from "./global-options.ts";
import { createProgram } from "./program.ts";
import { report } from "./report.ts";

/**
 * Runs one command line.
 * @param args What stands after the program's name.
 * @returns The exit code. Everything is closed by then, and every error has been told; it never rejects.
 */
export async function run(args: readonly string[], environment: Environment): Promise<number> {
  const program = createProgram(environment);
  const names = program.commands.map((command) => command.name());
  try {
    await program.parseAsync(completeVirtual(args, names), { from: "user" });
    await written(environment);
    return EXIT.OK;
  } catch (error) {
    // --help and --version end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.OK;
    // A command group without its command: commander has printed the help by now.
    if (error instanceof CommanderError && error.code === "commander.help") return EXIT.USAGE;
    return report(error, environment, args.includes("--json"));
  }
}

/** Waits until all output is out. @throws {FileError} if it could not be written: a full disk, for one. */
async function written({ stdout, signal }: Environment): Promise<void> {
  await new Promise<void>((resolve) => {
    // What went wrong before is told as an error of the stream.
    stdout.write("", () => {
      resolve();
    });
  });
  if (signal.reason instanceof FileError) throw signal.reason;
}
