import { createPublicKey, verify } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKU } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { createBlankCard, type MakeName } from "../../src/virtual/index.ts";
import { refusal, type Rig, rig } from "../cryptoki/rig.ts";
import { exchange } from "../virtual/exchange.ts";

const PIN = "123456";
const NEW_PIN = "654321";
const MESSAGE = utf8("signed by a new token");

/** What an officer has on each make: a PUK of 16 digits, or an SO PIN of up to 8. */
const MAKES: readonly (readonly [MakeName, string])[] = [
  ["iso-applet", "1234567890123456"],
  ["iso-applet-1", "1234567890123456"],
  ["myeid", "87654321"],
];

/** The flags of the only token that say what was set up. */
async function flags(made: Rig): Promise<{ readonly initialised: boolean; readonly hasPin: boolean }> {
  const info = await made.cryptoki.C_GetTokenInfo(await made.slot());
  return {
    initialised: (info.flags & CKF.TOKEN_INITIALIZED) !== 0,
    hasPin: (info.flags & CKF.USER_PIN_INITIALIZED) !== 0,
  };
}

/** C_InitToken and C_InitPIN, as programs call them. */
async function initialise(made: Rig, officer: string): Promise<void> {
  await made.cryptoki.C_InitToken(await made.slot(), officer, "Made here");
  await setPin(made, officer, PIN);
}

async function setPin(made: Rig, officer: string, pin: string): Promise<void> {
  const session = await made.session();
  try {
    await made.cryptoki.C_Login(session, CKU.SO, officer);
    await made.cryptoki.C_InitPIN(session, pin);
  } finally {
    await made.cryptoki.C_CloseSession(session);
  }
}

/** Makes a key and signs with it. */
async function useToken(made: Rig, pin = PIN): Promise<void> {
  const { cryptoki } = made;
  const session = await made.session();
  await cryptoki.C_Login(session, CKU.USER, pin);
  const common = { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(0x21), [CKA.LABEL]: "new" };
  const pair = await cryptoki.C_GenerateKeyPair(
    session,
    { mechanism: CKM.EC_KEY_PAIR_GEN },
    { ...common, [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107"), [CKA.VERIFY]: true },
    { ...common, [CKA.PRIVATE]: true, [CKA.SIGN]: true },
  );
  const { [CKA.PUBLIC_KEY_INFO]: spki } = await cryptoki.C_GetAttributeValue(session, pair.publicKey, [
    CKA.PUBLIC_KEY_INFO,
  ]);
  const hash = (await cryptoki.C_GetMechanismList(await made.slot())).includes(CKM.ECDSA_SHA256) ? "sha256" : "sha1";
  await cryptoki.C_SignInit(
    session,
    { mechanism: hash === "sha256" ? CKM.ECDSA_SHA256 : CKM.ECDSA_SHA1 },
    pair.privateKey,
  );
  const signature = await cryptoki.C_Sign(session, MESSAGE);
  const key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  expect(verify(hash, MESSAGE, { key, dsaEncoding: "ieee-p1363" }, signature)).toBe(true);
  await cryptoki.C_CloseSession(session);
}

describe.each(MAKES)("a blank %s", (make, officer) => {
  test("becomes a token with a PIN, and makes and uses keys", async () => {
    await using made = await rig(createBlankCard(make), profiles);
    expect(await flags(made)).toEqual({ initialised: false, hasPin: false });
    await made.cryptoki.C_InitToken(await made.slot(), officer, "Made here");
    expect(await flags(made)).toEqual({ initialised: true, hasPin: false });
    await setPin(made, officer, PIN);
    expect(await flags(made)).toEqual({ initialised: true, hasPin: true });
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({
      label: "Made here",
      model: "PKCS#15",
    });
    await useToken(made);
  });

  test("initialised once more by its officer, is empty and takes another PIN", async () => {
    await using made = await rig(createBlankCard(make), profiles);
    await initialise(made, officer);
    await useToken(made);
    await made.cryptoki.C_InitToken(await made.slot(), officer, "Anew");
    await setPin(made, officer, NEW_PIN);
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.USER, NEW_PIN);
    expect(await made.find(session, { [CKA.LABEL]: "new" })).toEqual([]);
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({ label: "Anew" });
    await made.cryptoki.C_CloseSession(session);
    await useToken(made, NEW_PIN);
  });

  test("does not let itself be initialised anew with a wrong PIN of the officer", async () => {
    await using made = await rig(createBlankCard(make), profiles);
    await initialise(made, officer);
    const wrong = officer.replaceAll(/\d/gu, "9");
    await expect(made.cryptoki.C_InitToken(await made.slot(), wrong, "No")).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await expect(made.cryptoki.C_InitToken(await made.slot(), "1", "No")).rejects.toMatchObject(
      refusal("PIN_LEN_RANGE"),
    );
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({ label: "Made here" });
    await useToken(made);
  });

  test("refuses a label that has no room, and is as it was", async () => {
    await using made = await rig(createBlankCard(make), profiles);
    await initialise(made, officer);
    await expect(made.cryptoki.C_InitToken(await made.slot(), officer, "x".repeat(33))).rejects.toMatchObject(
      refusal("ARGUMENTS_BAD"),
    );
    await useToken(made);
  });

  test("is erased by C_ResetToken, and initialised again", async () => {
    await using made = await rig(createBlankCard(make), profiles);
    await initialise(made, officer);
    const eraser = make === "myeid" ? officer : PIN;
    await expect(made.cryptoki.C_ResetToken(await made.slot(), "99999999")).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await made.cryptoki.C_ResetToken(await made.slot(), eraser);
    expect(await flags(made)).toEqual({ initialised: false, hasPin: false });
    await initialise(made, officer);
    await useToken(made);
  });
});

describe("an IsoApplet", () => {
  const PUK = "1234567890123456";

  test("has its forgotten PIN set by the officer, who is the one with the PUK", async () => {
    await using made = await rig(createBlankCard("iso-applet"), profiles);
    await initialise(made, PUK);
    await setPin(made, PUK, NEW_PIN);
    await useToken(made, NEW_PIN);
    await expect(setPin(made, "9999999999999999", PIN)).rejects.toMatchObject(refusal("PIN_INCORRECT"));
  });

  test("with another PUK than the one that is given says so, after an interrupted initialisation", async () => {
    const card = createBlankCard("iso-applet");
    await using made = await rig(card, profiles);
    await made.cryptoki.C_InitToken(await made.slot(), PUK, "First");
    await expect(setPin(made, "9999999999999999", PIN)).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await setPin(made, PUK, NEW_PIN);
    await useToken(made, NEW_PIN);
  });
});

describe("a MyEID", () => {
  const SO_PIN = "87654321";

  test("is active after its first PIN, and then its officer sets no other one", async () => {
    const card = createBlankCard("myeid");
    await using made = await rig(card, profiles);
    await made.cryptoki.C_InitToken(await made.slot(), SO_PIN, "Card");
    expect(await exchange(card, "00A40000023F0000")).toContain("8A0101");
    await setPin(made, SO_PIN, PIN);
    expect(await exchange(card, "00A40000023F0000")).toContain("8A0105");
    await expect(setPin(made, SO_PIN, NEW_PIN)).rejects.toMatchObject(refusal("FUNCTION_NOT_SUPPORTED"));
    await useToken(made);
  });

  test.each([
    ["the SO PIN", undefined, SO_PIN],
    ["the variable PUK", "11223344", "11223344"],
  ])("unblocks its PIN with %s", async (_, variable, puk) => {
    await using made = await rig(createBlankCard("myeid"), profiles);
    if (variable !== undefined) await made.cryptoki.C_SetVariable("puk", variable);
    await initialise(made, SO_PIN);
    const session = await made.session();
    await made.cryptoki.C_UnlockPIN(session, puk, NEW_PIN);
    await made.cryptoki.C_CloseSession(session);
    await useToken(made, NEW_PIN);
  });

  test("has its SO PIN changed by the officer, and is erased with the new one only", async () => {
    await using made = await rig(createBlankCard("myeid"), profiles);
    await initialise(made, SO_PIN);
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, SO_PIN);
    await made.cryptoki.C_SetPIN(session, SO_PIN, "11112222");
    await made.cryptoki.C_CloseSession(session);
    await expect(made.cryptoki.C_InitToken(await made.slot(), SO_PIN, "No")).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await made.cryptoki.C_InitToken(await made.slot(), "11112222", "Yes");
    expect(await made.cryptoki.C_GetTokenInfo(await made.slot())).toMatchObject({ label: "Yes" });
  });
});
