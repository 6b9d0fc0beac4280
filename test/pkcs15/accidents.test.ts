import { expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { CKA, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { first, type Rig, refusal, rig } from "../cryptoki/rig.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { labCard } from "./smartcard-hsm-lab.ts";
import { REBUILT_PIN, rebuiltCard } from "./rebuilt-card.ts";

/** A card that answers the next command that begins so with `answer`, and not as it would. */
class Struck implements InProcessCard {
  readonly atr: Uint8Array;
  readonly #card: InProcessCard;
  #strike: { readonly beginning: string; readonly answer: string } | undefined;

  constructor(card: InProcessCard) {
    this.#card = card;
    this.atr = card.atr;
  }

  strike(beginning: string, answer: string): void {
    this.#strike = { beginning, answer };
  }

  reset(): void {
    this.#card.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    const strike = this.#strike;
    if (!strike || !toHex(command).startsWith(strike.beginning)) return this.#card.transmit(command);
    this.#strike = undefined;
    return Promise.resolve(fromHex(strike.answer));
  }
}

async function struck(card: InProcessCard): Promise<{ card: Struck; made: Rig }> {
  const struckCard = new Struck(card);
  return { card: struckCard, made: await rig(struckCard, [pkcs15]) };
}

const select = (file: string): string => `00a40800045015${file}`;

test("one failure at the directory of PINs is no reason to have no PIN", async () => {
  const { card, made } = await struck(await testPkcs15Card());
  await using used = made;
  card.strike(select("4401").slice(0, 10), "6f00");
  await used.cryptoki.C_GetSlotList(true).catch(() => undefined);
  expect(await used.cryptoki.C_GetSlotList(true)).toHaveLength(2);
  const session = await used.session();
  await used.cryptoki.C_Login(session, CKU.USER, "123456");
});

test("one failure at the directory of private keys ends the search with an error, and the next one finds them", async () => {
  const { card, made } = await struck(await testPkcs15Card());
  await using used = made;
  const session = await used.loggedIn();
  card.strike(select("4402"), "6f00");
  await expect(used.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  expect(await used.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(2);
});

test("a token keeps its name when its TokenInfo could not be read once", async () => {
  const { card, made } = await struck(await testPkcs15Card());
  await using used = made;
  const slot = first(await used.cryptoki.C_GetSlotList(true));
  card.strike(select("5032"), "6581");
  await expect(used.cryptoki.C_GetTokenInfo(slot)).rejects.toMatchObject(refusal("DEVICE_ERROR"));
  expect((await used.cryptoki.C_GetTokenInfo(slot)).label).toBe("Virtual eID (PIN)");
});

test("no key is written over when the directory of keys could not be read", async () => {
  const { card, made } = await struck(rebuiltCard());
  await using used = made;
  const session = await used.session();
  await used.cryptoki.C_Login(session, CKU.USER, REBUILT_PIN);
  card.strike(select("4402"), "6a82");
  const generated = used.cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.EC_KEY_PAIR_GEN },
    { [CKA.TOKEN]: true, [CKA.VERIFY]: true, [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107") },
    { [CKA.TOKEN]: true, [CKA.PRIVATE]: true, [CKA.SIGN]: true, [CKA.LABEL]: "made" },
  );
  await expect(generated).rejects.toMatchObject({ code: "CKR_DEVICE_ERROR", message: /could not be read/u });
});

test("a card that denied its application once is recognised at the second look", async () => {
  const { card, made } = await struck(labCard());
  await using used = made;
  card.strike("00a40400", "6a82");
  const slot = first(await used.cryptoki.C_GetSlotList(true));
  expect((await used.cryptoki.C_GetTokenInfo(slot)).label).toBe("Lab HSM");
});
