/** Examples at the end of a command's help: what one types, and what it does. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  const body = lines.map(([command, meaning]) => `  # ${meaning}\n  $ ${command}`);
  return `\nExamples:\n${body.join("\n")}\n`;
}
