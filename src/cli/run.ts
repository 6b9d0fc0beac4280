import { CommanderError } from "commander";
import type { Environment } from "./environment.ts";
import { EXIT } from "./exit-code.ts";
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
    return EXIT.OK;
  } catch (error) {
    // --help and --version end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.OK;
    // A command group without its command: commander has printed the help by now.
    if (error instanceof CommanderError && error.code === "commander.help") return EXIT.USAGE;
    return report(error, environment, args.includes("--json"));
  }
}
