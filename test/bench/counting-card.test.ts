import { describe, expect, test } from "@jest/globals";
import { CardFactory, PIN } from "../../bench/cards.ts";
import { CountingCard } from "../../bench/counting-card.ts";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";

const factory = new CardFactory();
const newCard = (): Promise<CountingCard> => factory.make("short", false).then((card) => new CountingCard(card));

describe("a counting card", () => {
  test("answers as the card within, and counts refused commands, parts and GET RESPONSE alike", async () => {
    const card = await newCard();
    await card.transmit(fromHex("00a4040005a00000030800"));
    await card.transmit(fromHex("00cb3fff055c035fc10500"));
    await card.transmit(fromHex("00c0000000"));
    const refused = await card.transmit(fromHex("00ca000000"));
    expect(toHex(refused)).toBe("6d00");
    expect(card.take().map(({ header, status }) => `${header} ${status}`)).toEqual([
      "00a40400 9000",
      "00cb3fff 6100",
      "00c00000 6100",
      "00ca0000 6d00",
    ]);
    expect(card.take()).toEqual([]);
  });

  test("keeps nothing of what a command or an answer holds", async () => {
    const card = await newCard();
    await card.transmit(fromHex(`0020008008${toHex(utf8(PIN))}ffff`));
    const [exchange] = card.take();
    expect(exchange).toEqual({ header: "00200080", sent: 13, received: 2, status: "9000" });
  });

  test("is exchanged only for a card that the reader cannot tell from it", async () => {
    const card = await newCard();
    await card.transmit(fromHex("00ca000000"));
    card.exchangeFor(await factory.make("short", false));
    expect(card.take()).toEqual([]);
    const extended = await factory.make("extended", false);
    expect(() => {
      card.exchangeFor(extended);
    }).toThrow("another answer to reset");
  });
});
