import { createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKK, CKM, CKO, CKU } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { VirtualSmartCardHsm } from "../../src/virtual/index.ts";
import { decodeImage } from "../../src/virtual/smartcard-hsm/image.ts";
import { refusal, type Rig, rig } from "../cryptoki/rig.ts";
import { issue } from "./smartcard-hsm-card.ts";
import { testKey } from "../virtual/keys.ts";

const SO_PIN = "3537363231383830";
const PIN = "648219";
const MESSAGE = utf8("message");
const P256 = fromHex("06082a8648ce3d030107");

/** A card in service. */
async function inService(card: VirtualSmartCardHsm, variables: Readonly<Record<string, string>> = {}): Promise<Rig> {
  const made = await rig(card, [pkcs15]);
  const { cryptoki } = made;
  for (const [name, value] of Object.entries(variables)) await cryptoki.C_SetVariable(name, value);
  await cryptoki.C_InitToken(await made.slot(), SO_PIN, "Lab");
  const session = await made.session();
  await cryptoki.C_Login(session, CKU.SO, SO_PIN);
  await cryptoki.C_InitPIN(session, PIN);
  await cryptoki.C_CloseSession(session);
  return made;
}

async function loggedIn(made: Rig, pin = PIN): Promise<number> {
  const session = await made.session();
  await made.cryptoki.C_Login(session, CKU.USER, pin);
  return session;
}

async function generate(made: Rig, session: number, id: number, rsa = false): Promise<Buffer> {
  const common = { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(id), [CKA.LABEL]: `key ${id}` };
  const pair = await made.cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: rsa ? CKM.RSA_PKCS_KEY_PAIR_GEN : CKM.EC_KEY_PAIR_GEN },
    { ...common, ...(rsa ? { [CKA.MODULUS_BITS]: 2048 } : { [CKA.EC_PARAMS]: P256 }), [CKA.VERIFY]: true },
    { ...common, [CKA.PRIVATE]: true, [CKA.SIGN]: true },
  );
  const { [CKA.PUBLIC_KEY_INFO]: spki } = await made.cryptoki.C_GetAttributeValue(session, pair.publicKey, [
    CKA.PUBLIC_KEY_INFO,
  ]);
  return Buffer.from(spki);
}

describe("a SmartCard-HSM", () => {
  test("is no token before its initialisation, and one with a PIN after it", async () => {
    const card = await VirtualSmartCardHsm.create({ serial: "DENK0100123" });
    await using made = await rig(card, [pkcs15]);
    const flagsOf = async (): Promise<number> => (await made.cryptoki.C_GetTokenInfo(await made.slot())).flags;
    expect((await flagsOf()) & (CKF.TOKEN_INITIALIZED | CKF.USER_PIN_INITIALIZED)).toBe(0);
    await made.cryptoki.C_InitToken(await made.slot(), SO_PIN, "Lab");
    expect((await flagsOf()) & CKF.TOKEN_INITIALIZED).not.toBe(0);
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({
      label: "Lab",
      serialNumber: "DENK0100123",
    });
  });

  test.each([false, true])("makes keys, RSA: %s, signs with them and deletes them", async (rsa) => {
    await using made = await inService(await VirtualSmartCardHsm.create());
    const { cryptoki } = made;
    const session = await loggedIn(made);
    const key = createPublicKey({ key: await generate(made, session, 7, rsa), format: "der", type: "spki" });
    const privateKey = await made.privateKey(session, 7);
    await cryptoki.C_SignInit(session, { mechanism: rsa ? CKM.SHA256_RSA_PKCS : CKM.ECDSA_SHA256 }, privateKey);
    const signature = await cryptoki.C_Sign(session, MESSAGE);
    expect(verify("sha256", MESSAGE, { key, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
    await cryptoki.C_DestroyObject(session, privateKey);
    expect(await made.find(session, { [CKA.ID]: Uint8Array.of(7) })).toEqual([]);
    await generate(made, session, 7);
  });

  test("stores certificates, with a key and without one, and data, and deletes them", async () => {
    const card = await VirtualSmartCardHsm.create();
    await using made = await inService(card);
    const { cryptoki } = made;
    const session = await loggedIn(made);
    await generate(made, session, 7);
    const value = await issue(testKey("p-256", "authority"), "Certificate");
    const common = {
      [CKA.TOKEN]: true,
      [CKA.CLASS]: CKO.CERTIFICATE,
      [CKA.CERTIFICATE_TYPE]: 0,
      [CKA.SUBJECT]: new Uint8Array(),
      [CKA.VALUE]: value,
    };
    for (const [id, label] of [
      [7, "key 7"],
      [8, "authority"],
    ] as const) {
      await cryptoki.C_CreateObject(session, { ...common, [CKA.ID]: Uint8Array.of(id), [CKA.LABEL]: label });
    }
    for (const [label, hidden] of [
      ["open", false],
      ["hidden", true],
    ] as const) {
      await cryptoki.C_CreateObject(session, {
        [CKA.TOKEN]: true,
        [CKA.CLASS]: CKO.DATA,
        [CKA.LABEL]: label,
        [CKA.APPLICATION]: "test",
        [CKA.PRIVATE]: hidden,
        [CKA.VALUE]: utf8(label.repeat(200)),
      });
    }
    for (const [template, wanted] of [
      [{ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(7) }, value],
      [{ [CKA.CLASS]: CKO.CERTIFICATE, [CKA.LABEL]: "authority" }, value],
      [{ [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "open" }, utf8("open".repeat(200))],
      [{ [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "hidden" }, utf8("hidden".repeat(200))],
    ] as const) {
      const [object = -1] = await made.find(session, template);
      expect((await cryptoki.C_GetAttributeValue(session, object, [CKA.VALUE]))[CKA.VALUE]).toEqual(wanted);
      await cryptoki.C_DestroyObject(session, object);
      expect(await made.find(session, template)).toEqual([]);
    }
    expect(card.image()).not.toMatch(/"c[89af]\d\d"/u);
  });

  test("a certificate of which only a part was written is none, and the next one takes its place", async () => {
    const value = await issue(testKey("p-256", "authority"), "Certificate");
    const first = await VirtualSmartCardHsm.create();
    {
      await using made = await inService(first);
      await generate(made, await loggedIn(made), 7);
    }
    const contents = decodeImage(first.image());
    const whole = { ...contents, files: new Map(contents.files).set("ce01", value) };
    const torn = { ...contents, files: new Map(contents.files).set("ce01", value.subarray(0, 240)) };
    const wanted = { [CKA.CLASS]: CKO.CERTIFICATE, [CKA.ID]: Uint8Array.of(7) };
    for (const [image, found] of [
      [whole, 1],
      [torn, 0],
    ] as const) {
      await using made = await rig(new VirtualSmartCardHsm(image), [pkcs15]);
      expect(await made.find(await loggedIn(made), wanted)).toHaveLength(found);
    }
    const card = new VirtualSmartCardHsm(torn);
    await using made = await rig(card, [pkcs15]);
    const session = await loggedIn(made);
    await made.cryptoki.C_CreateObject(session, {
      ...wanted,
      [CKA.TOKEN]: true,
      [CKA.CERTIFICATE_TYPE]: 0,
      [CKA.SUBJECT]: new Uint8Array(),
      [CKA.VALUE]: value,
    });
    expect(decodeImage(card.image()).files.get("ce01")).toEqual(value);
  });

  test("takes no key in the clear, and no second one with a CKA_ID", async () => {
    await using made = await inService(await VirtualSmartCardHsm.create());
    const session = await loggedIn(made);
    const { d = "" } = testKey("p-256", "own").export({ format: "jwk" });
    await expect(
      made.cryptoki.C_CreateObject(session, {
        [CKA.TOKEN]: true,
        [CKA.CLASS]: CKO.PRIVATE_KEY,
        [CKA.KEY_TYPE]: CKK.EC,
        [CKA.EC_PARAMS]: P256,
        [CKA.VALUE]: Buffer.from(d, "base64url"),
        [CKA.PRIVATE]: true,
        [CKA.SIGN]: true,
      }),
    ).rejects.toThrow(/encrypted with its DKEK/u);
    await generate(made, session, 7);
    await expect(generate(made, session, 7)).rejects.toThrow(/this CKA_ID is on the card already/u);
  });

  test("is made new with its SO PIN only, and says that another one is wrong", async () => {
    await using made = await inService(await VirtualSmartCardHsm.create());
    const session = await loggedIn(made);
    await generate(made, session, 7);
    await made.cryptoki.C_CloseSession(session);
    await expect(made.cryptoki.C_InitToken(await made.slot(), "0000000000000000", "No")).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await expect(made.cryptoki.C_InitToken(await made.slot(), "12345678", "No")).rejects.toMatchObject(
      refusal("PIN_LEN_RANGE"),
    );
    await made.cryptoki.C_InitToken(await made.slot(), SO_PIN, "Anew");
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({ label: "Anew" });
  });

  test("has its SO PIN changed by the officer, and its PIN set by the new one", async () => {
    await using made = await inService(await VirtualSmartCardHsm.create());
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, SO_PIN);
    await made.cryptoki.C_SetPIN(session, SO_PIN, "00112233445566ff");
    await made.cryptoki.C_CloseSession(session);
    const other = await made.session();
    await made.cryptoki.C_Login(other, CKU.SO, "00112233445566ff");
    await made.cryptoki.C_InitPIN(other, "another1");
    await made.cryptoki.C_CloseSession(other);
    await loggedIn(made, "another1");
  });

  test.each([
    ["pin-tries", "11", /pin-tries is a number from 1 to 10/u],
    ["pin-tries", "x", /pin-tries is a number/u],
    ["dkek-shares", "256", /dkek-shares is a number from 0 to 255/u],
  ])("is not initialised with %s = %s", async (name, value, message) => {
    const card = await VirtualSmartCardHsm.create();
    await using made = await rig(card, [pkcs15]);
    await made.cryptoki.C_SetVariable(name, value);
    await expect(made.cryptoki.C_InitToken(await made.slot(), SO_PIN, "No")).rejects.toThrow(message);
    expect(card.image()).not.toContain('"security"');
  });

  test("gets its PIN and the tries of it by variables", async () => {
    const card = await VirtualSmartCardHsm.create();
    await using made = await rig(card, [pkcs15]);
    await made.cryptoki.C_SetVariable("pin", "1234567");
    await made.cryptoki.C_SetVariable("pin-tries", "5");
    await made.cryptoki.C_InitToken(await made.slot(), SO_PIN, "Lab");
    await loggedIn(made, "1234567");
    expect(card.image()).toContain('"maxTries": 5');
  });

  test("says that it is full", async () => {
    await using made = await inService(await VirtualSmartCardHsm.create());
    const session = await loggedIn(made);
    const data = (index: number): Promise<number> =>
      made.cryptoki.C_CreateObject(session, {
        [CKA.TOKEN]: true,
        [CKA.CLASS]: CKO.DATA,
        [CKA.LABEL]: `data ${index}`,
        [CKA.APPLICATION]: "test",
        [CKA.VALUE]: new Uint8Array(30_000),
      });
    await data(1);
    await data(2);
    await expect(data(3)).rejects.toMatchObject(refusal("DEVICE_MEMORY"));
  });
});
