import { expect, test } from "@jest/globals";
import { PrecomputedCard } from "../../bench/precomputed-card.ts";
import { fromHex } from "../../src/bytes/index.ts";

test("a precomputed card asks the card within once, and again where something else came before", async () => {
  let asked = 0;
  const card = new PrecomputedCard({
    atr: fromHex("3b00"),
    reset: () => undefined,
    transmit: () => Promise.resolve(Uint8Array.of(++asked, 0x90, 0x00)),
  });
  const [first, second] = [fromHex("00010000"), fromHex("00020000")];
  const round = async (): Promise<number[]> => {
    const answers = [await card.transmit(first), await card.transmit(second)];
    return answers.map(([count = 0]) => count);
  };
  expect(await round()).toEqual([1, 2]);
  // The first command now follows the second one, which is another state of the card.
  expect(await round()).toEqual([3, 2]);
  expect(await round()).toEqual([3, 2]);
  expect(asked).toBe(3);
});
