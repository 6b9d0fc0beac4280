import { Card, CardRecognition, type PinStatus } from "../card/index.ts";
import { profiles } from "../index.ts";
import type { CommandContext } from "./context.ts";
import { NotFoundError } from "./failure.ts";
import type { Token } from "./token.ts";

/**
 * How the user's PIN of `token` stands, with the number of tries, for which PKCS #11 has only flags. Costs no try.
 * @param all The tokens of all readers: those of one card come in the card's own order.
 */
export async function userPinStatus(context: CommandContext, token: Token, all: readonly Token[]): Promise<PinStatus> {
  const { slotDescription } = token;
  const index = all.filter((one) => one.slotDescription === slotDescription).indexOf(token);
  const pcsc = await context.pcsc();
  await using card = new Card(await pcsc.connect(slotDescription, { signal: context.signal }), context.cardOptions);
  const application = await new CardRecognition(profiles).claim(card);
  const cardToken = application?.tokens[index];
  if (cardToken) return await cardToken.pinStatus("user", true);
  throw new NotFoundError(`the card in ${slotDescription} is another one now; try again`);
}
