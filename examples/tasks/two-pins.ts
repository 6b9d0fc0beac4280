/** Signs with every key of a card with two PINs: each PIN guards a token of its own. */
import { openTokens } from "cryptoki";

const pins = JSON.parse(process.env["PINS"] ?? "{}") as Record<string, string>; // by the labels of the tokens
await using cards = await openTokens({ pin: async ({ token }) => pins[(await token()).label] ?? null });
const letter = new TextEncoder().encode("a letter");
for await (const token of cards.tokens())
  for await (const key of token.keys.find({ use: "sign" })) console.log(key.label, (await key.sign(letter)).length);
