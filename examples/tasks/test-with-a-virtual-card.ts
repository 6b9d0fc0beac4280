/** A test without hardware: a card in this process. */
import { openTokens } from "cryptoki";
import { VirtualPivCard } from "cryptoki/virtual";

await using cards = await openTokens({ cards: [await VirtualPivCard.create()], pin: () => "123456" });
const key = await (await cards.token()).keys.get({ reference: "9a" });
const letter = new TextEncoder().encode("a letter");
console.log(await (await key.publicKey()).verify(letter, await key.sign(letter)));
