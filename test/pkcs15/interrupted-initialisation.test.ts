import { describe, expect, test } from "@jest/globals";
import { fromUtf8 } from "../../src/bytes/index.ts";
import { CKU } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { type InProcessCard, PcscError } from "../../src/pcsc/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import { decodeImage } from "../../src/virtual/iso7816/image.ts";
import { createBlankCard, type MakeName } from "../../src/virtual/index.ts";
import { READER, type Rig, rig } from "../cryptoki/rig.ts";

const PIN = "123456";

const MAKES: readonly (readonly [MakeName, string])[] = [
  ["iso-applet", "1234567890123456"],
  ["myeid", "87654321"],
];

/** Whether the card is pulled out before the command reaches it, or before its answer comes back. */
type When = "before" | "after";

/** A card that is pulled out once. */
function pulled(card: InProcessCard, at: number, when: When): InProcessCard & { readonly wasPulled: () => boolean } {
  let left = at;
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    wasPulled: () => left <= 0,
    async transmit(command) {
      left--;
      if (left !== 0) return card.transmit(command);
      if (when === "after") await card.transmit(command);
      throw new PcscError("SCARD_W_REMOVED_CARD");
    },
  };
}

/** One run of what a program does: it may be run again after an interruption. */
async function initialise(made: Rig, officer: string): Promise<void> {
  const { cryptoki } = made;
  await cryptoki.C_InitToken(await made.slot(), officer, "Card");
  const session = await made.session();
  try {
    await cryptoki.C_Login(session, CKU.SO, officer);
    await cryptoki.C_InitPIN(session, PIN);
  } finally {
    await cryptoki.C_CloseSession(session).catch(() => undefined);
  }
}

/**
 * Pulls the card out at every second exchange of `work`, puts it back and runs `again`: before the odd ones, after the even
 * ones. @returns How many exchanges there are.
 */
async function pullEverywhere(
  image: string,
  when: When,
  work: (made: Rig) => Promise<void>,
  again: (made: Rig, card: VirtualFileCard) => Promise<void>,
): Promise<number> {
  for (let at = when === "before" ? 1 : 2; ; at += 2) {
    const card = new VirtualFileCard(decodeImage(image));
    const torn = pulled(card, at, when);
    await using made = await rig(torn, profiles);
    const failed = await work(made).then(
      () => false,
      () => true,
    );
    if (!torn.wasPulled()) {
      expect(failed).toBe(false);
      return at - 1;
    }
    card.reset();
    made.readers.eject(READER);
    made.insert(card);
    await again(made, card);
  }
}

/** The tries of every PIN and PUK are all there. */
function expectNoTrySpent(card: VirtualFileCard): void {
  for (const { data } of decodeImage(card.image()).pins.values()) expect(data.tries).toBe(data.maxTries);
}

describe.each(MAKES)("a card that is pulled out, %s", (make, officer) => {
  const finish = async (made: Rig, card: VirtualFileCard): Promise<void> => {
    await initialise(made, officer);
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.USER, PIN);
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({ label: "Card" });
    expectNoTrySpent(card);
  };

  test.each<When>(["before", "after"])(
    "%s any exchange of its initialisation: the same again completes it",
    async (when) => {
      const times = await pullEverywhere(
        createBlankCard(make).image(),
        when,
        (made) => initialise(made, officer),
        finish,
      );
      expect(times).toBeGreaterThan(20);
    },
  );

  test.each<When>(["before", "after"])("%s any exchange when it is made new: likewise", async (when) => {
    const card = createBlankCard(make);
    {
      await using made = await rig(card, profiles);
      await initialise(made, officer);
    }
    const times = await pullEverywhere(card.image(), when, (made) => initialise(made, officer), finish);
    expect(times).toBeGreaterThan(20);
  });

  test.each<When>(["before", "after"])("%s any exchange when it is erased: the same again erases it", async (when) => {
    const card = createBlankCard(make);
    const eraser = make === "myeid" ? officer : PIN;
    {
      await using made = await rig(card, profiles);
      await initialise(made, officer);
    }
    const erase = async (made: Rig): Promise<void> => made.cryptoki.C_ResetToken(await made.slot(), eraser);
    const times = await pullEverywhere(card.image(), when, erase, async (made, torn) => {
      // It may be erased already, which the lost answer did not say.
      if (fromUtf8(Buffer.from(torn.image())).includes('"5032"')) await erase(made);
      expect(torn.image()).not.toContain('"5032"');
      expectNoTrySpent(torn);
    });
    expect(times).toBeGreaterThan(3);
  });
});
