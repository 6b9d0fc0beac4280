/** The answer to a PIN change or an unlock is lost: the error says that the PIN may have changed, and how to find out. */
import { describe, expect, test } from "@jest/globals";
import { toHex } from "../../src/bytes/index.ts";
import { changingPin, CardCancelledError, CardGoneError, CardResetError, PinError } from "../../src/card/index.ts";
import { CKU } from "../../src/cryptoki/index.ts";
import { type InProcessCard, PcscError } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { piv } from "../../src/piv/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { PIN, refusal, rig } from "./rig.ts";

const NEW = "654321";
const PUK = "12345678";
const CHANGE = "0024";
const UNLOCK = "002c";

/** What happens to the answer to the command that begins so; it is lost once. */
function losing(card: InProcessCard, begin: string, answer: () => Uint8Array): InProcessCard {
  let left = 1;
  return {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      const done = await card.transmit(command);
      return toHex(command).startsWith(begin) && left-- > 0 ? answer() : done;
    },
  };
}

const lose = (): never => {
  throw new PcscError("SCARD_F_COMM_ERROR");
};
const cut = (): Uint8Array => Uint8Array.of(0x90);

const makePiv = (): Promise<InProcessCard> =>
  VirtualPivCard.create({ keys: { "9a": null, "9c": null, "9d": null, "9e": null } });
const makePkcs15 = (): Promise<InProcessCard> => testPkcs15Card();

describe.each([
  ["PIV", makePiv],
  ["PKCS #15", makePkcs15],
])("on a %s card", (_, make) => {
  const uncertain = {
    ...refusal("DEVICE_ERROR"),
    message: expect.stringMatching(/may have changed.*new one first/u) as unknown,
  };

  test.each([
    ["does not come", lose],
    ["is cut off", cut],
  ])("a change whose answer %s", async (__, answer) => {
    await using made = await rig(losing(await make(), CHANGE, answer), [piv, pkcs15]);
    const session = await made.session();
    await expect(made.cryptoki.C_SetPIN(session, PIN, NEW)).rejects.toMatchObject(uncertain);
    await made.cryptoki.C_Login(session, CKU.USER, NEW);
  });

  test("an unlock whose answer does not come", async () => {
    await using made = await rig(losing(await make(), UNLOCK, lose), [piv, pkcs15]);
    const session = await made.session();
    await expect(made.cryptoki.C_UnlockPIN(session, PUK, NEW)).rejects.toMatchObject(uncertain);
    await made.cryptoki.C_Login(session, CKU.USER, NEW);
  });

  test("a refused change is as certain as ever", async () => {
    await using made = await rig(await make(), [piv, pkcs15]);
    await expect(made.cryptoki.C_SetPIN(await made.session(), "000000", NEW)).rejects.toMatchObject({
      ...refusal("PIN_INCORRECT"),
      message: expect.not.stringMatching(/may have changed/u) as unknown,
    });
  });

  test("a card that is taken out meanwhile is gone, and the error says the same of its PIN", async () => {
    await using made = await rig(await make(), [piv, pkcs15]);
    const session = await made.session();
    made.before = (command) => {
      if (command[1] === 0x24) throw new PcscError("SCARD_W_REMOVED_CARD");
    };
    await expect(made.cryptoki.C_SetPIN(session, PIN, NEW)).rejects.toMatchObject({
      ...refusal("DEVICE_REMOVED"),
      message: uncertain.message,
    });
  });
});

describe("the exchange that changes a PIN", () => {
  let ended = 0;
  const card = {
    endHolds: (): void => {
      ended++;
    },
  };

  test("ends what others keep the card for, before the card changes the PIN", async () => {
    ended = 0;
    await changingPin(card, "PIN", async (changing) => {
      expect(ended).toBe(0);
      await changing(() => {
        expect(ended).toBe(1);
        return Promise.resolve();
      });
    });
    expect(ended).toBe(1);
  });

  test.each([
    ["a reset", new CardResetError("reset"), "PinUncertainError"],
    ["a removal", new CardGoneError("gone"), "PinUncertainError"],
    ["a cancelled call", new CardCancelledError("left"), "CardCancelledError"],
    ["a refusal", new PinError("incorrect", "wrong", 2), "PinError"],
  ])("that ends with %s", async (_, error, name) => {
    await expect(changingPin(card, "PIN", (changing) => changing(() => Promise.reject(error)))).rejects.toMatchObject({
      name,
    });
    await expect(changingPin(card, "PIN", () => Promise.reject(error))).rejects.toBe(error);
    const after = changingPin(card, "PIN", async (changing) => {
      await changing(() => Promise.resolve());
      throw error;
    });
    await expect(after).rejects.toBe(error);
  });
});
