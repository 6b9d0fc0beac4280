import type { Command } from "commander";

/** A term and what it means, as a list in the help has them. */
type Item = readonly [term: string, description: string];

/** What the program's own help says, before it is fitted to a terminal. The build makes it, so that no command is loaded to print it. */
export interface Outline {
  readonly usage: string;
  readonly description: string;
  readonly options: readonly Item[];
  readonly commands: readonly Item[];
  /** Examples, exit codes and environment variables, which are printed as they are. */
  readonly after: string;
}

/**
 * @param program With all its commands.
 * @param printed The whole help, as the program prints it without colours.
 */
export function outlineOf(program: Command, printed: string): Outline {
  const help = program.createHelp();
  return {
    usage: help.commandUsage(program),
    description: help.commandDescription(program),
    options: help.visibleOptions(program).map((option) => [help.optionTerm(option), help.optionDescription(option)]),
    commands: help
      .visibleCommands(program)
      .map((command) => [help.subcommandTerm(command), help.subcommandDescription(command)]),
    after: printed.slice(program.helpInformation().length),
  };
}

/** Columns below which a description is not broken into lines. */
const NARROWEST = 40;
const INDENT = "  ";

/**
 * The help as commander prints it.
 * @param width In columns.
 * @param bold Whether titles are bold.
 */
export function outlineText(outline: Outline, width: number, bold: boolean): string {
  const { usage, description, options, commands, after } = outline;
  const title = (text: string): string => (bold ? `\u001B[1m${text}\u001B[22m` : text);
  const termWidth = Math.max(...[...options, ...commands].map(([term]) => term.length));
  const item = ([term, meaning]: Item): string => {
    if (meaning === "") return `${INDENT}${term}`;
    const start = `${INDENT}${term.padEnd(termWidth)}${INDENT}`;
    return start + wrapped(meaning, width - start.length).join(`\n${" ".repeat(start.length)}`);
  };
  return [
    `${title("Usage:")} ${usage}`,
    "",
    ...wrapped(description, width),
    "",
    title("Options:"),
    ...options.map((option) => item(option)),
    "",
    title("Commands:"),
    ...commands.map((command) => item(command)),
    after,
  ].join("\n");
}

/** Lines of at most `width` columns, broken at spaces. */
function wrapped(text: string, width: number): string[] {
  if (width < NARROWEST) return [text];
  const lines: string[] = [];
  let line = "";
  for (const word of text.match(/\s*\S+/gu) ?? []) {
    if (line !== "" && line.length + word.length > width) {
      lines.push(line);
      line = word.trimStart();
    } else line += word;
  }
  return [...lines, line];
}
