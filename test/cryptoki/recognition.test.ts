import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { profiles } from "../../src/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { AppletCard } from "../cac/applet-card.ts";
import { AID, listedApplets } from "../cac/cards.ts";
import { testCard, testPkcs15Card } from "../virtual/keys.ts";
import { rig } from "./rig.ts";

const OWN = {
  PIV: "a000000308",
  PKCS15: "a000000063504b43532d3135",
  EF_DIR: "2f00",
  CAC: AID.CCC,
};

/** The same card with another answer to reset. */
function answering(atr: string, card: InProcessCard): InProcessCard {
  return {
    atr: fromHex(atr),
    reset: () => {
      card.reset();
    },
    transmit: (command) => card.transmit(command),
  };
}

/** How many exchanges the card cost before its own application was asked for. */
async function askedBefore(card: InProcessCard, own: string): Promise<number> {
  await using made = await rig(card, profiles);
  expect(await made.cryptoki.C_GetSlotList(true)).not.toEqual([]);
  return made.commands.findIndex((command) => command.startsWith("00a4") && command.includes(own));
}

const unselected = (): Promise<InProcessCard> => testCard({ defaultSelected: false });
const cacCard = (): InProcessCard => new AppletCard(listedApplets());

/** Answers to reset of cards that are sold, each in front of a card that behaves as they do. */
describe("asked in vain, before its own application is asked for, is", () => {
  test("a PIV card: nothing", async () => {
    expect(await askedBefore(await unselected(), OWN.PIV)).toBe(0);
  });

  test.each([
    ["MyEID", "3bf51800008131fe454d794549449a", OWN.PKCS15],
    ["CardOS 5.3", "3bd218008131fe58c90316", OWN.PKCS15],
    ["STARCOS 3.5, which announces EF.DIR", "3bd996ff8131fe458031b8738601c0810502", OWN.EF_DIR],
  ])("%s: nothing", async (_name, atr, own) => {
    expect(await askedBefore(answering(atr, await testPkcs15Card()), own)).toBe(0);
  });

  test("a CAC card from before PIV: nothing", async () => {
    expect(await askedBefore(answering("3b6b00008065b08301047483009000", cacCard()), OWN.CAC)).toBe(0);
  });

  test("a card that may be PIV as well as CAC: PIV, which the order prefers", async () => {
    const DUAL = "3b7d96000080318065b0831117d683009000";
    expect(await askedBefore(answering(DUAL, cacCard()), OWN.CAC)).toBe(1);
    expect(await askedBefore(answering(DUAL, await unselected()), OWN.PIV)).toBe(0);
  });

  test("an unrecognised CAC card: PIV, and two names of PKCS #15", async () => {
    expect(await askedBefore(cacCard(), OWN.CAC)).toBe(3);
  });
});

test.each([
  ["MyEID", "3bf51800008131fe454d794549449a", 13],
  ["CAC", "3b6b00008065b08301047483009000", 1],
])("a PIV card that answers to reset like %s is a PIV card all the same", async (_name, atr, before) => {
  expect(await askedBefore(answering(atr, await unselected()), OWN.PIV)).toBe(before);
});
