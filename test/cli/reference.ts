import type { Argument, Command, Option } from "commander";
import { PassThrough, Readable } from "node:stream";
import { format } from "prettier";
import { createProgram } from "../../src/cli/program.ts";

const BEGIN = "<!-- begin: generated from the program's own definitions -->";
const END = "<!-- end -->";

/** The command reference with its generated part made anew; what stands before and after it is kept. */
export function renew(document: string): Promise<string> {
  const [before = "", rest = ""] = document.split(BEGIN);
  const after = rest.split(END)[1] ?? "\n";
  return format(`${before}${BEGIN}\n\n${reference()}\n${END}${after}`, { parser: "markdown", printWidth: 120 });
}

function reference(): string {
  const program = createProgram({
    stdin: Readable.from([]),
    stdout: new PassThrough(),
    stderr: new PassThrough(),
    env: {},
    signal: new AbortController().signal,
  });
  return [
    "## Options of every command\n",
    optionTable(program.options),
    ...leaves(program).map((command) => section(command, program)),
  ].join("\n");
}

/** Commands that do something, not groups of them. */
function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function section(command: Command, program: Command): string {
  const name = fullName(command, program);
  const args = command.registeredArguments;
  return [
    `\n## \`cryptoki ${name}\`\n`,
    `${command.description()}\n`,
    `\`\`\`\ncryptoki ${name} ${command.usage()}\n\`\`\`\n`,
    ...(args.length + command.options.length > 0 ? ["| argument or option | meaning |", "| --- | --- |"] : []),
    ...args.map(argumentRow),
    ...command.options.map(optionRow),
    exampleBlock(command),
  ].join("\n");
}

function fullName(command: Command, program: Command): string {
  const names = [];
  for (let at: Command | null = command; at !== null && at !== program; at = at.parent) names.unshift(at.name());
  return names.join(" ");
}

const cell = (text: string): string => text.replaceAll("|", "\\|");

const argumentRow = (argument: Argument): string =>
  `| \`${argument.required ? `<${argument.name()}>` : `[${argument.name()}]`}\` | ${cell(argument.description)} |`;

function optionRow(option: Option): string {
  const choices = option.argChoices ? ` (${option.argChoices.join(", ")})` : "";
  const value: unknown = option.defaultValue;
  const usual = typeof value === "string" || typeof value === "number" ? `; default: ${value}` : "";
  return `| \`${cell(option.flags)}\` | ${cell(option.description + choices + usual)} |`;
}

function optionTable(options: readonly Option[]): string {
  return ["| option | meaning |", "| --- | --- |", ...options.map(optionRow)].join("\n");
}

/** The examples at the end of the command's help. */
function exampleBlock(command: Command): string {
  let help = "";
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  const examples = /\nExamples:\n([\s\S]*)$/u.exec(help)?.[1] ?? "";
  const lines = examples
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/^ {2}(?:\$ )?/u, ""));
  return `\n\`\`\`sh\n${lines.join("\n")}\n\`\`\`\n`;
}
