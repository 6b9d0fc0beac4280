import type { Command } from "commander";
import type { CommandContext } from "../context.ts";
import { UnsuitableCardError } from "../output/failures.ts";
import { visible } from "../output/printer.ts";
import { ask } from "./prompt.ts";

/** The option that answers every question about a card beforehand. */
export interface ConfirmationOptions {
  readonly yes?: true;
}

export function confirmationOption(command: Command): Command {
  return command.option("--yes", "do not ask before something on the card is destroyed");
}

/**
 * Asks whether something on the card may be destroyed. Without a terminal it cannot ask, and --yes must answer.
 * @param consequence What is destroyed, as a sentence without its end: "the key in 9A is overwritten".
 * @throws {UnsuitableCardError} without a terminal and --yes, or for any answer but y and yes; nothing was changed then.
 */
export async function confirm(
  { environment }: CommandContext,
  consequence: string,
  { yes }: ConfirmationOptions,
): Promise<void> {
  if (yes) return;
  const sentence = visible(consequence);
  if (environment.stdin.isTTY !== true)
    throw new UnsuitableCardError(`${sentence}; add --yes if that is what you want`);
  const question = `${sentence[0]?.toUpperCase() ?? ""}${sentence.slice(1)}. Go on? [y/N] `;
  const given = await ask(question, environment);
  if (!/^\s*y(?:es)?\s*$/iu.test(given)) throw new UnsuitableCardError("not confirmed; nothing was changed");
}
