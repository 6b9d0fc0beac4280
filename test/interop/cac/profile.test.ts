import { afterAll, beforeAll, describe, jest, test } from "@jest/globals";
import { cac, cacUnlisted } from "../../../src/cac/index.ts";
import type { CardProfile } from "../../../src/card/index.ts";
import { profileSuite } from "../../../src/testing/index.ts";
import { CAC_PIN, type LibcacardCard, startLibcacard } from "./libcacard.ts";

jest.setTimeout(120_000);

/** One process is the card of all tests: its PIN has no counter, so no test leaves it otherwise than it was. */
let card: LibcacardCard;
beforeAll(async () => {
  card = await startLibcacard();
});
afterAll(() => card[Symbol.asyncDispose]());

/** Both ways to a CAC, as one profile: libcacard's card has no capability container in some versions. */
const anyCac: CardProfile = {
  ...cac,
  claim: async (...given) => (await cac.claim(...given)) ?? cacUnlisted.claim(...given),
};

describe("libcacard's card, in a reader of this process", () => {
  for (const { name, run } of profileSuite({ profile: anyCac, card: () => fresh(card), pin: CAC_PIN })) test(name, run);
});

function fresh(one: LibcacardCard): LibcacardCard {
  one.reset();
  return one;
}
