import { mkdir } from "node:fs/promises";
import path from "node:path";
import type { Command } from "commander";
import { action, type CommandContext } from "../context.ts";
import { writeWhole } from "../input/files.ts";
import { examples, refuseCardOptions } from "../input/options.ts";
import { SCRIPTS, type Shell, SHELLS, suggestions } from "../output/completion.ts";
import { UsageError } from "../output/failures.ts";
import { manPage, pageName } from "../output/man-page.ts";
import type { Environment } from "../output/printer.ts";

const MEANINGS: Readonly<Record<Shell, readonly [command: string, meaning: string]>> = {
  bash: ['eval "$(cryptoki completion bash)"', "in ~/.bashrc"],
  zsh: ['eval "$(cryptoki completion zsh)"', "in ~/.zshrc, after compinit"],
  fish: ["cryptoki completion fish > ~/.config/fish/completions/cryptoki.fish", "once"],
  powershell: ["cryptoki completion powershell | Out-String | Invoke-Expression", "in $PROFILE"],
};

export function addCompletion(program: Command, environment: Environment): void {
  const group = program
    .command("completion")
    .summary("let the shell complete commands and options")
    .description("Print the script that makes a shell complete commands, options and their values.");
  for (const shell of SHELLS) {
    const command = group
      .command(shell)
      .summary(`the script for ${shell}`)
      .description(`Print the script for ${shell}.`)
      .addHelpText("after", examples(MEANINGS[shell]));
    action(command, environment, (context) => {
      refuseCardOptions(context.options);
      context.environment.stdout.write(SCRIPTS[shell]);
      return Promise.resolve();
    });
  }
  const words = group
    .command("words")
    .summary("what may stand at the end of a command line; the scripts ask this")
    .description(
      "Print the words that may stand at the end of a command line, one a line, with their meanings after a tab. The scripts ask this; " +
        "nothing is printed where a file or any text is expected.",
    )
    .argument("[word...]", "the words after the program's name; the last is begun, or empty")
    .addHelpText("after", examples(["cryptoki completion words -- pin un", "pin unlock"]));
  action<object, [readonly string[]]>(words, environment, (context, _, typed) => {
    // PowerShell gives an empty word as two quotes.
    const line = typed.map((word) => (word === '""' ? "" : word));
    for (const { word, meaning } of suggestions(program, line)) context.print.line(`${word}\t${meaning}`);
    return Promise.resolve();
  });
}

export function addMan(program: Command, environment: Environment): void {
  const command = program
    .command("man")
    .summary("the manual page of a command")
    .description("Print the manual page of a command, for man: the same text as its help.")
    .argument("[command...]", "the command; default: the program")
    .option("--folder <folder>", "write the pages of all commands to files in this folder")
    .addHelpText(
      "after",
      examples(
        ["cryptoki man pin unlock | man -l -", "read a page"],
        ["cryptoki man --folder ~/.local/share/man/man1", "for man itself: man cryptoki-pin-unlock"],
      ),
    );
  action<ManOptions, [readonly string[]]>(command, environment, async (context, { folder }, names) => {
    refuseCardOptions(context.options);
    if (folder !== undefined) {
      if (names.length > 0) throw new UsageError("--folder writes the pages of all commands; name no command");
      await writePages(context, program, folder);
      return;
    }
    let found = program;
    for (const name of names) {
      const next = found.commands.find((one) => one.name() === name);
      if (!next) throw new UsageError(`there is no command ${names.join(" ")}; list them with: cryptoki help`);
      found = next;
    }
    context.environment.stdout.write(manPage(found, program));
  });
}

interface ManOptions {
  readonly folder?: string;
}

/** Writes a page for the program and each command, also a group of them. Old pages of the same names are replaced. */
async function writePages({ print, signal }: CommandContext, program: Command, folder: string): Promise<void> {
  const pages: string[] = [];
  const write = async (command: Command): Promise<void> => {
    const name = `${pageName(command)}.1`;
    await writeWhole(path.join(folder, name), manPage(command, program), { signal });
    pages.push(name);
    for (const one of command.commands) if (one.name() !== "help") await write(one);
  };
  await mkdir(folder, { recursive: true });
  await write(program);
  print.done(`${pages.length} pages are in ${folder}.`, { folder, pages });
}
