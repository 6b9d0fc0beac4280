import type { Command, Option } from "commander";

/** The manual page of a command, for man(1): roff with the macros of man(7), from the same definitions as the help. */
export function manPage(command: Command, program: Command): string {
  const name = fullName(command);
  const page = pageName(command);
  const commands = command.commands.filter((one) => one.name() !== "help");
  const options = command === program ? [] : program.options;
  return [
    `.TH ${page.toUpperCase()} 1 "" "cryptoki ${program.version() ?? ""}" "cryptoki"`,
    ".SH NAME",
    `${escaped(page)} \\- ${escaped(command.summary() || command.description())}`,
    ".SH SYNOPSIS",
    `.B ${escaped(name)}`,
    escaped(command.usage()),
    ".SH DESCRIPTION",
    escaped(command.description()),
    ...section(
      "ARGUMENTS",
      command.registeredArguments.map((one) => [one.name(), one.description]),
    ),
    ...section("OPTIONS", command.options.map(optionRow)),
    ...section(
      "COMMANDS",
      commands.map((one) => [one.name(), one.summary() || one.description()]),
    ),
    ...section("OPTIONS OF EVERY COMMAND", options.map(optionRow)),
    ...afterHelp(command),
    ...(command === program ? [] : [".SH SEE ALSO", `.BR ${escaped(pageName(command.parent ?? program))} (1)`]),
    "",
  ].join("\n");
}

/** "cryptoki-pin-unlock", as man finds it. */
export const pageName = (command: Command): string => fullName(command).replaceAll(" ", "-");

function fullName(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one !== null; one = one.parent) names.unshift(one.name());
  return names.join(" ");
}

function section(title: string, rows: readonly (readonly [string, string])[]): string[] {
  if (rows.length === 0) return [];
  return [`.SH ${title}`, ...rows.flatMap(([term, meaning]) => [".TP", `.B ${escaped(term)}`, escaped(meaning)])];
}

function optionRow({ flags, description, argChoices }: Option): [string, string] {
  return [flags, argChoices ? `${description} (${argChoices.join(", ")})` : description];
}

/** What stands after the help proper: examples, exit codes and the environment, as sections with their lines kept. */
function afterHelp(command: Command): string[] {
  let help = "";
  const before = { ...command.configureOutput() };
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  command.configureOutput(before);
  const lines: string[] = [];
  for (const [, title = "", body = ""] of help.matchAll(
    /^(Examples|Exit codes|Environment):\n((?: .*\n?|\n(?= ))*)/gmu,
  )) {
    const kept = body.trimEnd().split("\n");
    lines.push(`.SH ${title.toUpperCase()}`, ".nf", ...kept.map((line) => escaped(line.replace(/^ {2}/u, ""))), ".fi");
  }
  return lines;
}

/** Text as roff shows it: no control line, no escape, hyphens that are minus signs, other characters by their numbers. */
function escaped(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/u, "\\&$1")
    .replace(
      /[^\p{ASCII}]/gu,
      (character) => `\\[u${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`,
    );
}
