import { connectCard, type Card } from "../card/index.ts";
import type { CommandContext } from "./context.ts";
import { chooseReader } from "./reader.ts";

/** The card in the reader that is meant, for this command; the connection ends with it. */
export async function openCard(context: CommandContext): Promise<Card> {
  const pcsc = await context.pcsc();
  return context.owns(await connectCard(pcsc, await chooseReader(context), context.cardOptions));
}
