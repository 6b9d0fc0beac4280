/** Greets each card, until one is taken out. */
import { openTokens } from "cryptoki";

await using cards = await openTokens({});
for await (const change of cards.changes()) {
  if (change.type === "inserted") console.log((await change.token.info()).label);
  if (change.type === "removed") break;
}
