/** C_SetAttributeValue on TokenLabel: the label stands in EF(TokenInfo), which is written at once or not at all. */
import { describe, expect, test } from "@jest/globals";
import { fromHex, fromUtf8, toHex, utf8 } from "../../src/bytes/index.ts";
import { Card, type CardToken, UnsupportedError } from "../../src/card/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { readTokenInfo, relabelledTokenInfo } from "../../src/pkcs15/syntax/token-info.ts";
import { PIN, READER, refusal, Rig } from "../cryptoki/rig.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { algorithmInfo, odf, pin, text, tlv, tokenInfo } from "./directory-files.ts";
import { FileCard } from "./file-card.ts";

const LAST_UPDATE = "a511180f32303236303130313030303030305a";

async function labelObject(cryptoki: Cryptoki, session: number): Promise<number> {
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "TokenLabel" });
  const [object = 0] = await cryptoki.C_FindObjects(session);
  await cryptoki.C_FindObjectsFinal(session);
  return object;
}

async function pkcs15Rig(): Promise<Rig> {
  const made = new Rig([pkcs15]);
  made.readers.plug(READER);
  made.insert(await testPkcs15Card());
  await made.cryptoki.C_Initialize();
  return made;
}

async function sessionIn(made: Rig, token: number, flags: number = CKF.RW_SESSION): Promise<number> {
  const slots = await made.cryptoki.C_GetSlotList(true);
  return made.cryptoki.C_OpenSession(slots[token] ?? -1, CKF.SERIAL_SESSION | flags);
}

const labels = async (cryptoki: Cryptoki): Promise<string[]> =>
  Promise.all((await cryptoki.C_GetSlotList(true)).map(async (slot) => (await cryptoki.C_GetTokenInfo(slot)).label));

describe("the label of a PKCS #15 token", () => {
  test("is changed for all tokens of the card, in every application, and stays when the card is taken out", async () => {
    await using made = await pkcs15Rig();
    const { cryptoki } = made;
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    expect(await labels(other)).toEqual(["Virtual eID (PIN)", "Virtual eID (Signature PIN)"]);
    const session = await sessionIn(made, 0);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    const object = await labelObject(cryptoki, session);
    const counted = await updateCount(cryptoki, session);
    await cryptoki.C_SetAttributeValue(session, object, { [CKA.VALUE]: utf8("Élise's card") });
    expect(await labels(other)).toEqual(["Élise's card (PIN)", "Élise's card (Signature PIN)"]);
    const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]);
    expect(fromUtf8(value)).toBe("Élise's card (PIN)");
    expect(await updateCount(cryptoki, session)).not.toEqual(counted);
    // What was read may be written back: the PIN's name does not pile up.
    await cryptoki.C_SetAttributeValue(session, object, { [CKA.VALUE]: value });
    expect(await labels(cryptoki)).toEqual(["Élise's card (PIN)", "Élise's card (Signature PIN)"]);
    await cryptoki.C_Reinitialize(first(await cryptoki.C_GetSlotList(true)));
    expect(await labels(cryptoki)).toEqual(["Élise's card (PIN)", "Élise's card (Signature PIN)"]);
  });

  test("wants a session that writes, the login of this application, text, and room in the file", async () => {
    await using made = await pkcs15Rig();
    const { cryptoki } = made;
    const reading = await sessionIn(made, 0, 0);
    const session = await sessionIn(made, 0);
    const object = await labelObject(cryptoki, session);
    const change = (value: Uint8Array, at = session): Promise<void> =>
      cryptoki.C_SetAttributeValue(at, object, { [CKA.VALUE]: value });
    await expect(change(utf8("x"))).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await expect(change(utf8("x"), reading)).rejects.toMatchObject(refusal("SESSION_READ_ONLY"));
    for (const wrong of [fromHex("c328"), utf8(""), utf8("  "), utf8("a\nb")]) {
      await expect(change(wrong)).rejects.toMatchObject({
        ...refusal("ATTRIBUTE_VALUE_INVALID"),
        message: expect.stringContaining(wrong[0] === 0xc3 ? "not UTF-8" : "must be text, in UTF-8"),
      });
    }
    await expect(change(utf8("x".repeat(200)))).rejects.toMatchObject({
      ...refusal("ATTRIBUTE_READ_ONLY"),
      message: expect.stringMatching(/TokenInfo .*5032 has 256 bytes, but needs 3\d\d with this label/u),
    });
    await expect(change(utf8("x".repeat(256)))).rejects.toThrow(/more than 255 bytes/u);
    expect(await labels(cryptoki)).toEqual(["Virtual eID (PIN)", "Virtual eID (Signature PIN)"]);
  });

  test("is the only thing that is changed so; the others say why they stay", async () => {
    await using made = await pkcs15Rig();
    const { cryptoki } = made;
    const session = await sessionIn(made, 0);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA, [CKA.APPLICATION]: "Net iD" });
    const object = await labelObject(cryptoki, session).catch(() => 0);
    expect(object).toBe(0);
    await cryptoki.C_FindObjectsFinal(session);
    const found = async (label: string): Promise<number> => {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: label });
      const objects = await cryptoki.C_FindObjects(session);
      await cryptoki.C_FindObjectsFinal(session);
      return first(objects);
    };
    for (const [label, modifiable, why] of [
      ["TokenSerialNumber", true, /CKA_VALUE of TokenSerialNumber is determined by the card/u],
      ["UpdateCount", true, /CKA_VALUE of UpdateCount changes only with the token's contents/u],
      ["ATR", false, undefined],
    ] as const) {
      const handle = await found(label);
      const { [CKA.MODIFIABLE]: told } = await cryptoki.C_GetAttributeValue(session, handle, [CKA.MODIFIABLE]);
      expect([label, told]).toEqual([label, modifiable]);
      await expect(cryptoki.C_SetAttributeValue(session, handle, { [CKA.VALUE]: utf8("1") })).rejects.toMatchObject({
        ...refusal(modifiable ? "ATTRIBUTE_READ_ONLY" : "ACTION_PROHIBITED"),
        ...(why && { message: expect.stringMatching(why) }),
      });
    }
    await expect(
      cryptoki.C_SetAttributeValue(session, await found("TokenLabel"), { [CKA.LABEL]: "x" }),
    ).rejects.toMatchObject({
      ...refusal("ATTRIBUTE_READ_ONLY"),
      message: expect.stringContaining("CKA_LABEL of TokenLabel cannot be changed"),
    });
  });
});

async function updateCount(cryptoki: Cryptoki, session: number): Promise<Uint8Array> {
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "UpdateCount" });
  const object = first(await cryptoki.C_FindObjects(session));
  await cryptoki.C_FindObjectsFinal(session);
  return (await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE];
}

function first(found: readonly number[]): number {
  const [one] = found;
  if (one === undefined) throw new Error("nothing found");
  return one;
}

describe("a TokenInfo", () => {
  const tail = tlv("03", "0560") + tlv("a2", algorithmInfo(1, 1, "0640", 2)) + LAST_UPDATE;
  const head = tlv("02", "00") + tlv("04", "0102") + text("Maker");

  test.each([
    ["with a label", tlv("80", toHex(utf8("old"))), tlv("80", toHex(utf8("new label")))],
    ["without one", "", tlv("80", toHex(utf8("new label")))],
    ["with an explicit tag", tlv("a0", text("old")), tlv("a0", text("new label"))],
  ])("%s has another one, and all else as it was", (_, before, after) => {
    const changed = relabelledTokenInfo(fromHex(tlv("30", head, before, tail)), "new label");
    expect(toHex(changed)).toBe(tlv("30", head, after, tail));
    expect(readTokenInfo(changed)).toMatchObject({ label: "new label", manufacturer: "Maker" });
  });
});

/** A card whose TokenInfo has `size` bytes; behind it stand `filler`. */
function labelledCard(size: number, filler = "00"): FileCard {
  const info = tokenInfo("Old label");
  const files = {
    "50155031": { contents: odf({ a8: "4401" }) },
    "50155032": { contents: info + filler.repeat(Math.max(0, size - info.length / 2)) },
    "50154401": { contents: pin({ label: "PIN", authId: "01", reference: "81" }) },
  };
  const card = new FileCard({ aid: "a000000063504b43532d3135", files });
  card.script.set("002000810431323334", "9000");
  return card;
}

async function open(card: FileCard): Promise<{ readonly readers: MemoryReaders; readonly token: CardToken }> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  card.reset();
  readers.insert(READER, card);
  const [token] =
    (await pkcs15.claim(new Card(await readers.client({ patience: 200 }).connect(READER)), "thorough"))?.tokens ?? [];
  if (!token) throw new Error("no token");
  await token.login("user", utf8("1234"));
  return { readers, token };
}

describe("EF(TokenInfo)", () => {
  test.each([
    ["00", "short"],
    ["ff", "short"],
    ["00", "a label that is longer than the old one"],
  ])("is written whole, with what is behind it as before (%s, %s)", async (filler, label) => {
    const card = labelledCard(96, filler);
    const { token } = await open(card);
    await token.setLabel?.(label);
    expect((await token.info()).label).toBe(label);
    const { contents = "" } = card.files.get("50155032") ?? {};
    const info = tokenInfo(label);
    expect(contents).toBe(info + filler.repeat(96 - info.length / 2));
    expect(card.commands.filter((command) => command.startsWith("00d6"))).toHaveLength(1);
  });

  test("has the old label or the new one wherever the card is pulled", async () => {
    const reference = labelledCard(96);
    const { token } = await open(reference);
    const begun = reference.commands.length;
    await token.setLabel?.("another label");
    const exchanges = reference.commands.length - begun;
    expect(exchanges).toBeGreaterThan(1);
    const labelsSeen = new Set<string>();
    for (let at = 0; at < exchanges; at++) {
      const card = labelledCard(96);
      const { readers, token: pulled } = await open(card);
      let left = at;
      card.before = () => {
        if (left-- > 0) return undefined;
        readers.eject(READER);
        return "pull";
      };
      await expect(Promise.resolve(pulled.setLabel?.("another label"))).rejects.toThrow(/taken out|gone|removed/iu);
      card.before = undefined;
      labelsSeen.add((await (await open(card)).token.info()).label);
    }
    expect([...labelsSeen]).toEqual(["Old label"]);
  });

  test("that is full, or broken, is left as it is", async () => {
    const full = labelledCard(0);
    await expect((await open(full)).token.setLabel?.("a longer label than that")).rejects.toThrow(UnsupportedError);
    expect(full.commands.some((command) => command.startsWith("00d6"))).toBe(false);
    const broken = labelledCard(96);
    broken.files.set("50155032", { contents: `05${tokenInfo("Old label")}` });
    await expect((await open(broken)).token.setLabel?.("x")).rejects.toThrow(/malformed: it is not written to/u);
  });
});
