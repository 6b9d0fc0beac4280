import { Card, CardRecognition, type CardToken } from "../card/index.ts";
import { profiles } from "../index.ts";
import type { CommandContext } from "./context.ts";
import { NotFoundError } from "./failure.ts";

/** Where a token is: its reader, and what tells the tokens of one card apart. */
export interface TokenPlace {
  readonly slotDescription: string;
}

/**
 * Asks a token for what PKCS #11 has no function for.
 * @param all The tokens of all readers: those of one card come in the card's own order.
 * @throws {NotFoundError} if another card is in the reader now.
 */
export async function onCardToken<T>(
  context: CommandContext,
  token: TokenPlace,
  all: readonly TokenPlace[],
  work: (cardToken: CardToken) => Promise<T>,
): Promise<T> {
  const { slotDescription } = token;
  const index = all.filter((one) => one.slotDescription === slotDescription).indexOf(token);
  const pcsc = await context.pcsc();
  await using card = new Card(await pcsc.connect(slotDescription, { signal: context.signal }), context.cardOptions);
  const application = await new CardRecognition(profiles).claim(card);
  const cardToken = application?.tokens[index];
  if (cardToken) return await work(cardToken);
  throw new NotFoundError(`the card in ${slotDescription} is another one now; try again`);
}
