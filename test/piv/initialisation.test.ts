import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import type { VirtualPivCard } from "../../src/virtual/index.ts";
import { READER, refusal, type Rig, rig, settled } from "../cryptoki/rig.ts";
import { testCard, testKey } from "../virtual/keys.ts";

const FACTORY_KEY = "010203040506070801020304050607080102030405060708";
const OWN_KEY = "00112233445566778899aabbccddeeff0123456789abcdef";
const AES_256 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const OWN_PUK = "97531864";
const PIN = "123456";

const NO_KEYS = { "9a": null, "9c": null, "9d": null, "9e": null };
const newCard = (): Promise<VirtualPivCard> => testCard({ yubico: true, keys: NO_KEYS });

/** A YubiKey with a key, a certificate, and secrets of its own. */
const usedCard = (): Promise<VirtualPivCard> =>
  testCard({
    yubico: true,
    managementKey: { algorithm: "3des", value: fromHex(OWN_KEY) },
    pin: "246802",
    puk: OWN_PUK,
    keys: { ...NO_KEYS, "9a": { privateKey: testKey("p-256", "9a") } },
  });

/** How many certificates and public keys there are. */
async function contents({ cryptoki }: Rig, session: number): Promise<number> {
  let found = 0;
  for (const objectClass of [CKO.CERTIFICATE, CKO.PUBLIC_KEY]) {
    await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: objectClass });
    found += (await cryptoki.C_FindObjects(session)).length;
    await cryptoki.C_FindObjectsFinal(session);
  }
  return found;
}

/** The outcome of a login: CKR_OK, or the code of its error. It ends at once. */
async function login({ cryptoki }: Rig, slot: number, user: number, pin: string): Promise<string> {
  const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
  try {
    await cryptoki.C_Login(session, user, pin);
    return "CKR_OK";
  } catch (error) {
    return (error as { code: string }).code;
  } finally {
    await cryptoki.C_CloseSession(session);
  }
}

/** Takes the card out after each command of `call` in turn, puts it back and calls once more. The card is the same again after each turn. */
async function tornAtEachCommand(
  made: Rig,
  card: VirtualPivCard,
  call: (slot: number) => Promise<void>,
  pin: string,
  officer: string,
): Promise<void> {
  await made.cryptoki.C_SetVariable("puk", OWN_PUK);
  for (let number = 1; ; number++) {
    const slot = await made.slot();
    const { length } = made.commands;
    made.before = (_, sent) => {
      if (sent === length + number) made.readers.eject(READER);
    };
    const first = await call(slot).then(
      () => "CKR_OK",
      (error: unknown) => (error as { code: string }).code,
    );
    made.before = undefined;
    if (first === "CKR_OK") {
      expect(number).toBeGreaterThan(12);
      return;
    }
    expect([number, first]).toEqual([number, "CKR_DEVICE_REMOVED"]);
    made.insert(card);
    await settled();
    await call(slot);
    expect([number, await login(made, slot, CKU.USER, pin)]).toEqual([number, "CKR_OK"]);
    expect([number, await login(made, slot, CKU.SO, officer)]).toEqual([number, "CKR_OK"]);
  }
}

describe("C_InitToken of a YubiKey", () => {
  test("takes everything off the card, and the management key stays", async () => {
    await using made = await rig(await usedCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    const { label } = await cryptoki.C_GetTokenInfo(slot);
    await cryptoki.C_InitToken(slot, OWN_KEY, "New label");
    expect(await cryptoki.C_GetTokenInfo(slot)).toMatchObject({ label });
    expect(await login(made, slot, CKU.SO, OWN_KEY)).toBe("CKR_OK");
    expect(await login(made, slot, CKU.SO, FACTORY_KEY)).toBe("CKR_PIN_INCORRECT");
    expect(await login(made, slot, CKU.USER, PIN)).toBe("CKR_OK");
    expect(await contents(made, await made.session())).toBe(0);
  });

  test("changes nothing with a wrong management key, and spends no try", async () => {
    await using made = await rig(await usedCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    for (const [key, code] of [
      [FACTORY_KEY, "PIN_INCORRECT"],
      [AES_256, "PIN_INCORRECT"],
      ["12345678", "PIN_LEN_RANGE"],
    ] as const) {
      await expect(cryptoki.C_InitToken(slot, key, "New")).rejects.toMatchObject(refusal(code));
    }
    expect((await cryptoki.C_GetTokenInfo(slot)).flags & CKF.USER_PIN_COUNT_LOW).toBe(0);
    expect(await login(made, slot, CKU.USER, "246802")).toBe("CKR_OK");
    expect(await contents(made, await made.session())).toBe(2);
  });

  test("gives a card as the factory made it its management key", async () => {
    await using made = await rig(await newCard());
    const slot = await made.slot();
    await made.cryptoki.C_InitToken(slot, AES_256, "New");
    expect(await login(made, slot, CKU.SO, AES_256)).toBe("CKR_OK");
    // From now on it is checked.
    await expect(made.cryptoki.C_InitToken(slot, OWN_KEY, "New")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
  });

  test.each([
    ["a key", { keys: { ...NO_KEYS, "9d": { privateKey: testKey("p-256", "9a") } } }],
    ["another PIN", { keys: NO_KEYS, pin: "246802" }],
    ["another PUK", { keys: NO_KEYS, puk: OWN_PUK }],
    ["no metadata that would tell", { keys: NO_KEYS, deviations: ["no-metadata" as const] }],
  ])("checks the well-known key of a card with %s", async (_, options) => {
    await using made = await rig(await testCard({ yubico: true, ...options }));
    const slot = await made.slot();
    await expect(made.cryptoki.C_InitToken(slot, OWN_KEY, "New")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await made.cryptoki.C_InitToken(slot, FACTORY_KEY, "New");
  });

  test("sets the PIN and the PUK that C_SetVariable gave", async () => {
    await using made = await rig(await newCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    await cryptoki.C_SetVariable("pin", "135790");
    await cryptoki.C_SetVariable("puk", "123");
    await expect(cryptoki.C_InitToken(slot, OWN_KEY, "New")).rejects.toMatchObject(refusal("PIN_LEN_RANGE"));
    expect(await login(made, slot, CKU.USER, PIN)).toBe("CKR_OK");
    await cryptoki.C_SetVariable("puk", OWN_PUK);
    await cryptoki.C_InitToken(slot, OWN_KEY, "New");
    expect(await login(made, slot, CKU.USER, "135790")).toBe("CKR_OK");
    const session = await made.session();
    await cryptoki.C_UnlockPIN(session, OWN_PUK, "246802");
    expect(await login(made, slot, CKU.USER, "246802")).toBe("CKR_OK");
  });

  test("is refused while any application has a session, and on a card without Yubico's commands", async () => {
    await using made = await rig(await newCard());
    const slot = await made.slot();
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
    await expect(made.cryptoki.C_InitToken(slot, OWN_KEY, "New")).rejects.toMatchObject(refusal("SESSION_EXISTS"));
    await expect(made.cryptoki.C_ResetToken(slot, PIN)).rejects.toMatchObject(refusal("SESSION_EXISTS"));
    await other.C_CloseSession(theirs);
    await made.cryptoki.C_InitToken(slot, OWN_KEY, "New");
    await using standard = await rig(await testCard());
    const call = standard.cryptoki.C_InitToken(await standard.slot(), FACTORY_KEY, "New");
    await expect(call).rejects.toMatchObject({
      ...refusal("FUNCTION_NOT_SUPPORTED"),
      message: expect.stringContaining("Yubico's commands"),
    });
    expect(await login(standard, await standard.slot(), CKU.USER, PIN)).toBe("CKR_OK");
  });

  test("of a card that was taken out at any command is completed by the same call", async () => {
    const card = await usedCard();
    await using made = await rig(card);
    await made.cryptoki.C_SetVariable("pin", "135790");
    await tornAtEachCommand(made, card, (slot) => made.cryptoki.C_InitToken(slot, OWN_KEY, "New"), "135790", OWN_KEY);
  });
});

describe("C_ResetToken of a YubiKey", () => {
  test("leaves the user's PIN, and the factory's management key", async () => {
    await using made = await rig(await usedCard());
    const slot = await made.slot();
    await made.cryptoki.C_ResetToken(slot, "246802");
    expect(await login(made, slot, CKU.USER, "246802")).toBe("CKR_OK");
    expect(await login(made, slot, CKU.SO, FACTORY_KEY)).toBe("CKR_OK");
    expect(await contents(made, await made.session())).toBe(0);
  });

  test("sets what C_SetVariable gave", async () => {
    await using made = await rig(await usedCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    await cryptoki.C_SetVariable("so-pin", AES_256);
    await cryptoki.C_SetVariable("pin", "135790");
    await cryptoki.C_ResetToken(slot, "246802");
    expect(await login(made, slot, CKU.USER, "135790")).toBe("CKR_OK");
    expect(await login(made, slot, CKU.SO, AES_256)).toBe("CKR_OK");
  });

  test("of a card that was taken out at any command is completed by the same call", async () => {
    const card = await usedCard();
    await using made = await rig(card);
    await made.cryptoki.C_SetVariable("so-pin", AES_256);
    await tornAtEachCommand(made, card, (slot) => made.cryptoki.C_ResetToken(slot, "246802"), "246802", AES_256);
  });

  test("wants the PIN of a card with the factory's, as long as there is a key", async () => {
    const key = { privateKey: testKey("p-256", "9a") };
    await using made = await rig(await testCard({ yubico: true, keys: { ...NO_KEYS, "9d": key } }));
    const slot = await made.slot();
    await expect(made.cryptoki.C_ResetToken(slot, "246802")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await made.cryptoki.C_ResetToken(slot, PIN);
    // Now there is none.
    await made.cryptoki.C_ResetToken(slot, "135790");
    expect(await login(made, slot, CKU.USER, "135790")).toBe("CKR_OK");
  });

  test("is refused with a wrong PIN, which costs a try, and with a blocked one", async () => {
    await using made = await rig(await usedCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    const wrong = (): Promise<void> => cryptoki.C_ResetToken(slot, "111111");
    await expect(wrong()).rejects.toMatchObject({ ...refusal("PIN_INCORRECT"), cause: { triesLeft: 2 } });
    await cryptoki.C_SetVariable("so-pin", "0102");
    await expect(cryptoki.C_ResetToken(slot, "246802")).rejects.toMatchObject(refusal("PIN_LEN_RANGE"));
    await cryptoki.C_SetVariable("so-pin", null);
    await expect(wrong()).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await expect(wrong()).rejects.toMatchObject(refusal("PIN_LOCKED"));
    await expect(cryptoki.C_ResetToken(slot, "246802")).rejects.toMatchObject(refusal("PIN_LOCKED"));
    expect(await contents(made, await made.session())).toBe(2);
  });
});

describe("C_InitPIN of a YubiKey", () => {
  test("sets the PIN while the PUK is the factory's, as after C_InitToken", async () => {
    await using made = await rig(await usedCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    await cryptoki.C_InitToken(slot, OWN_KEY, "New");
    const session = await made.session();
    await expect(cryptoki.C_InitPIN(session, "135790")).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_Login(session, CKU.SO, OWN_KEY);
    await expect(cryptoki.C_InitPIN(session, "1357")).rejects.toMatchObject(refusal("PIN_LEN_RANGE"));
    await expect(cryptoki.C_InitPIN(session, "13579é")).rejects.toMatchObject(refusal("PIN_INVALID"));
    await cryptoki.C_InitPIN(session, "135790");
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, "135790");
  });

  test("is refused with another PUK, of which no try is spent", async () => {
    await using made = await rig(await usedCard());
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, OWN_KEY);
    await expect(made.cryptoki.C_InitPIN(session, "135790")).rejects.toMatchObject({
      ...refusal("FUNCTION_NOT_SUPPORTED"),
      message: expect.stringContaining("C_UnlockPIN"),
    });
    expect(made.commands.some((command) => command.startsWith("002c"))).toBe(false);
  });
});
