import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { CKF } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import type { CardFile, DedicatedFile, MakeName } from "../../src/virtual/iso7816/model.ts";
import { refusal, rig } from "./rig.ts";

/** A card with one application, which knows its name and nothing else. */
function namedCard(aid: string | undefined): InProcessCard {
  return {
    atr: fromHex("3b80800101"),
    reset: () => undefined,
    transmit: (command) =>
      Promise.resolve(fromHex(aid !== undefined && toHex(command).startsWith(`00a40400${aid}`) ? "9000" : "6a82")),
  };
}

/** A card as it leaves its maker: a master file, and perhaps an empty DF 5015, or one with an EF(ODF) of these contents. */
function blankCard(make: MakeName, withDf = false, odf?: Uint8Array): InProcessCard {
  const security = new Uint8Array();
  const files: CardFile[] = odf ? [{ kind: "transparent", id: 0x5031, security, contents: odf }] : [];
  const empty: DedicatedFile = { kind: "df", id: 0x5015, security, files };
  return new VirtualFileCard({
    traits: { make, extended: false, serial: new Uint8Array(8) },
    masterFile: { kind: "df", id: 0x3f00, security: new Uint8Array(), files: withDf ? [empty] : [] },
    pins: new Map(),
    keys: new Map(),
    changes: 0,
  });
}

/** The card, which answers each READ BINARY without data. */
function silentReads(card: InProcessCard): InProcessCard {
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: (command) =>
      toHex(command).startsWith("00b0") ? Promise.resolve(fromHex("9000")) : card.transmit(command),
  };
}

async function refused(card: InProcessCard): Promise<unknown> {
  await using made = await rig(card, profiles);
  return await made.cryptoki.C_GetTokenInfo(await made.slot()).then(
    () => undefined,
    (error: unknown) => error,
  );
}

describe("C_GetTokenInfo says of an unsupported card", () => {
  test.each<[string, InProcessCard, string | RegExp]>([
    ["OpenPGP", namedCard("06d27600012401"), /OpenPGP card: not supported yet/u],
    ["GIDS", namedCard("09a00000039742544659"), /GIDS card: not supported yet/u],
    [
      "a MyEID of which nothing can be read",
      silentReads(blankCard("myeid", true, new Uint8Array(8))),
      /MyEID card with PKCS #15 files that cannot be read/u,
    ],
    ["another", namedCard(undefined), /no card application that this driver recognises/u],
  ])("%s: what it is", async (_, card, message) => {
    expect(await refused(card)).toMatchObject({
      ...refusal("TOKEN_NOT_RECOGNIZED"),
      message: expect.stringMatching(message),
    });
  });
});

describe("C_GetTokenInfo shows a token that is not initialised for", () => {
  test.each<[string, InProcessCard, string]>([
    ["a blank IsoApplet", blankCard("iso-applet"), "IsoApplet"],
    ["a blank IsoApplet with a DF", blankCard("iso-applet", true), "IsoApplet"],
    ["a blank MyEID", blankCard("myeid"), "MyEID"],
    ["a MyEID with an empty DF 5015", blankCard("myeid", true), "MyEID"],
  ])("%s", async (_, card, model) => {
    await using made = await rig(card, profiles);
    const info = await made.cryptoki.C_GetTokenInfo(await made.slot());
    expect(info).toMatchObject({ model, label: "" });
    expect(info.flags & (CKF.TOKEN_INITIALIZED | CKF.LOGIN_REQUIRED | CKF.USER_PIN_INITIALIZED)).toBe(0);
  });
});
