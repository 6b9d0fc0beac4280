import { Card, CardRecognition } from "../../card/index.ts";
import { profiles } from "../../index.ts";
import { isYubiKey } from "../../piv/index.ts";
import type { SetupCard } from "../../setup/index.ts";
import type { CommandContext } from "../context.ts";
import { NotFoundError } from "../output/failures.ts";
import { visible } from "../output/printer.ts";

/** Runs `work` with the first token of the card, which is recognised anew. @throws {NotFoundError} for a card that is not known. */
export async function onSetupCard<T>(
  context: CommandContext,
  reader: string,
  work: (card: SetupCard) => Promise<T>,
): Promise<T> {
  const pcsc = await context.pcsc();
  await using card = new Card(await pcsc.connect(reader, { signal: context.signal }), context.cardOptions);
  const application = await new CardRecognition(profiles).claim(card);
  const token = application?.tokens[0];
  if (!token) throw new NotFoundError(`the card in ${visible(reader)} is not one that this program knows`);
  return await work({ token, profile: application.profile, isYubiKey: isYubiKey(card.atr) });
}
