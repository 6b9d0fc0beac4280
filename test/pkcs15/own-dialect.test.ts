import { expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { type CardPrivateKey, CardRecognition, type CardToken } from "../../src/card/index.ts";
import { piv } from "../../src/piv/index.ts";
import {
  algorithmField,
  type CardFacts,
  createPkcs15,
  type Dialect,
  genericDialect,
  keyField,
  standardUse,
} from "../../src/pkcs15/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { insert } from "./file-card.ts";
import { WatchedCard } from "./watched-card.ts";

/** An answer to reset whose historical bytes, "Acme", no make of this package has. */
const ACME_ATR = "3b8441636d65";

const acme: Dialect = {
  ...genericDialect,
  name: "Acme",
  source: "this test",
  recognises: ({ atr }: CardFacts) => toHex(atr).startsWith(ACME_ATR),
  primitives: (type) => (type === "rsa" ? ["rsa-pkcs1"] : []),
  use: (request) => standardUse(request, algorithmField(0x77), keyField(request.key)),
};

/** A PKCS #15 card with the answer to reset of the make. */
function acmeCard(card: InProcessCard): WatchedCard {
  return new WatchedCard({
    atr: fromHex(ACME_ATR),
    reset: () => {
      card.reset();
    },
    transmit: (command) => card.transmit(command),
  });
}

async function privateKeys(token: CardToken): Promise<readonly CardPrivateKey[]> {
  return (await token.objects(["private-key"])).filter((object) => object.class === "private-key");
}

test("a dialect of the program goes before those of this package, and its answer to reset is expected", async () => {
  const card = acmeCard(await testPkcs15Card());
  const recognition = new CardRecognition([piv, createPkcs15({ dialects: [acme] })]);
  const [token] = (await recognition.claim(await insert(card)))?.tokens ?? [];
  if (!token) throw new Error("no token");
  // No profile before it was asked.
  expect(card.commands[0]).toContain("a000000063504b43532d3135");
  const keys = await privateKeys(token);
  expect(keys.map(({ primitives }) => primitives)).toContainEqual(["rsa-pkcs1"]);
  expect(keys.map(({ primitives }) => primitives)).toContainEqual([]);
  const [key] = keys.filter(({ primitives }) => primitives.length > 0);
  if (!key) throw new Error("no key");
  await token.login("user", utf8("123456"));
  card.commands.length = 0;
  await token.use(key, "rsa-pkcs1", new Uint8Array(35)).catch(() => undefined);
  expect(card.commands.find((command) => command.startsWith("0022"))).toMatch(/^002241b606800177/u);
});

test("a card that it does not recognise is used as without it", async () => {
  const stranger: Dialect = { ...acme, recognises: () => false };
  const card = acmeCard(await testPkcs15Card());
  const recognition = new CardRecognition([piv, createPkcs15({ dialects: [stranger] })]);
  const [token] = (await recognition.claim(await insert(card)))?.tokens ?? [];
  if (!token) throw new Error("no token");
  // PIV is asked first: nothing is known of the answer to reset.
  expect(card.commands[0]).not.toContain("a000000063504b43532d3135");
  expect((await privateKeys(token)).every(({ primitives }) => primitives.length > 0)).toBe(true);
});
