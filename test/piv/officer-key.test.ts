import { pbkdf2Sync } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardToken } from "../../src/card/index.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { bench, claim } from "./rig.ts";

const PIN = utf8("123456");
const OTHER_PIN = utf8("654321");
const WELL_KNOWN = "010203040506070801020304050607080102030405060708";
const OFFICER = utf8(WELL_KNOWN);
const KEY = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const NEXT = "ffeeddccbbaa99887766554433221100ffeeddccbbaa99887766554433221100";
const ADMINISTRATOR = 0x5fff00;
const PRINTED = 0x5fc109;
const SALT = fromHex("000102030405060708090a0b0c0d0e0f");

const NO_KEYS = { "9a": null, "9c": null, "9d": null, "9e": null };

/** A card with these data objects, and this management key. */
async function cardWith(objects: Readonly<Record<number, string>>, key = WELL_KNOWN): Promise<VirtualPivCard> {
  const algorithm = key.length === 64 ? "aes-256" : "3des";
  const entries = Object.entries(objects).map(([tag, value]) => [Number(tag), fromHex(value)] as const);
  return VirtualPivCard.create({
    yubico: true,
    keys: NO_KEYS,
    objects: new Map<number, Uint8Array | null>([[PRINTED, null], ...entries]),
    managementKey: { algorithm, value: fromHex(key) },
  });
}
const objectsOf = (card: VirtualPivCard): Record<string, string> =>
  (JSON.parse(card.image()) as { objects: Record<string, string> }).objects;
const keyOf = (card: VirtualPivCard): { algorithm: string; value: string } =>
  (JSON.parse(card.image()) as { managementKey: { algorithm: string; value: string } }).managementKey;
const triesOf = (card: VirtualPivCard): number => (JSON.parse(card.image()) as { pin: { tries: number } }).pin.tries;
const protectedBy = (key: string): string => `88228920${key}`;

async function tokenOf(card: VirtualPivCard): Promise<CardToken> {
  return (await claim(bench(card))).token;
}
const logIn = async (card: VirtualPivCard, secret: Uint8Array): Promise<void> => {
  await (await tokenOf(card)).login("so", secret);
};

describe("a management key behind the PIN", () => {
  test("is set where Yubico's programs look for it, and the PIN opens it", async () => {
    const card = await cardWith({});
    const token = await tokenOf(card);
    await token.login("user", PIN);
    await token.login("so", OFFICER);
    await token.setOfficerKey?.({ key: utf8(KEY), algorithm: "aes-256", protectedByPin: true });
    expect(keyOf(card)).toEqual({ algorithm: "aes-256", value: KEY });
    expect(objectsOf(card)).toMatchObject({ "5fff00": "8003810102", "5fc109": protectedBy(KEY) });
    await logIn(card, PIN);
    expect(await (await tokenOf(card)).deviceInfo?.()).toMatchObject({
      officerKeyStorage: "protected",
      officerKeyAlgorithm: "aes-256",
      hasDefaultOfficerKey: false,
    });
  });

  test("that ykman protected is opened by the PIN, and a wrong PIN spends one try", async () => {
    const card = await cardWith({ [ADMINISTRATOR]: "8003810102", [PRINTED]: protectedBy(KEY) }, KEY);
    await expect(logIn(card, OTHER_PIN)).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    await logIn(card, PIN);
    expect(triesOf(card)).toBe(3);
  });

  test("that was derived from the PIN is recognised, and replaced by one that is not", async () => {
    const derived = pbkdf2Sync("123456", SALT, 10_000, 24, "sha1").toString("hex");
    const card = await cardWith({ [ADMINISTRATOR]: `80188304000000018210${toHex(SALT)}` }, derived);
    expect(await (await tokenOf(card)).deviceInfo?.()).toMatchObject({ officerKeyStorage: "derived" });
    await expect(logIn(card, OTHER_PIN)).rejects.toMatchObject({ reason: "incorrect" });
    expect(triesOf(card)).toBe(3);
    const token = await tokenOf(card);
    await token.changePin?.("so", PIN, utf8(KEY));
    expect(keyOf(card).value).toBe(KEY);
    // The time of the PIN's last change stays.
    expect(objectsOf(card)).toMatchObject({ "5fff00": "8009810100830400000001" });
    await expect(logIn(card, PIN)).rejects.toMatchObject({ reason: "length" });
  });

  test("is kept there no longer once a key is set apart from the PIN", async () => {
    const card = await cardWith({ [ADMINISTRATOR]: "8003810103", [PRINTED]: protectedBy(KEY) }, KEY);
    await (await tokenOf(card)).changePin?.("so", utf8(KEY), utf8(NEXT));
    expect(keyOf(card).value).toBe(NEXT);
    const objects = objectsOf(card);
    // The flag that the PUK is blocked stays.
    expect(objects["5fff00"]).toBe("8003810101");
    expect(objects["5fc109"]).toBeUndefined();
  });

  test("is never lost: a change that ends at any command leaves a card that the PIN or the old key opens", async () => {
    for (const start of [{}, { [ADMINISTRATOR]: "8003810102", [PRINTED]: protectedBy(KEY) }]) {
      for (const after of [false, true]) {
        for (let position = 0, struck = true; struck; position++) {
          struck = false;
          const card = await cardWith(start, KEY);
          const rig = bench(card);
          const { token } = await claim(rig);
          await token.login("user", PIN);
          await token.login("so", utf8(KEY));
          const begin = rig.commands.length;
          rig.before = async (command) => {
            if (rig.commands.length - begin !== position + 1) return;
            struck = true;
            if (after) await card.transmit(command);
            throw new Error("the card is out");
          };
          await token.setOfficerKey?.({ key: utf8(NEXT), protectedByPin: true }).catch(() => undefined);
          const left = keyOf(card).value;
          if (left === KEY && Object.keys(start).length === 0) await logIn(card, utf8(KEY));
          else await logIn(card, PIN);
          const again = await tokenOf(card);
          await again.login("user", PIN);
          await again.login("so", left === KEY ? utf8(KEY) : PIN);
          await again.setOfficerKey?.({ key: utf8(NEXT), protectedByPin: true });
          expect([position, objectsOf(card)["5fc109"], keyOf(card).value]).toEqual([position, protectedBy(NEXT), NEXT]);
        }
      }
    }
  });

  test("is refused over printed information, without the PIN, and with a length that is not its algorithm's", async () => {
    const printed = await tokenOf(await cardWith({ [PRINTED]: "0103416461fe00" }));
    await printed.login("user", PIN);
    await printed.login("so", OFFICER);
    await expect(printed.setOfficerKey?.({ key: utf8(KEY), protectedByPin: true })).rejects.toThrow(
      /printed information is in the data object/u,
    );
    const card = VirtualPivCard.create({ yubico: true, keys: NO_KEYS });
    const without = await tokenOf(await card);
    await without.login("so", OFFICER);
    await expect(without.setOfficerKey?.({ key: utf8(KEY), protectedByPin: true })).rejects.toThrow(
      /needs its PIN too/u,
    );
    await expect(without.setOfficerKey?.({ key: utf8(KEY), algorithm: "aes-128" })).rejects.toThrow(
      /aes-128 has 16 bytes/u,
    );
  });

  test("a PIN is no management key on a card that keeps none behind it: no try is spent", async () => {
    const card = await cardWith({});
    await expect(logIn(card, PIN)).rejects.toThrow(/keeps none behind its PIN; the card was not asked/u);
    expect(triesOf(card)).toBe(3);
  });
});
