import { describe, expect, test } from "@jest/globals";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { PinError } from "../../src/card/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki, CryptokiError } from "../../src/cryptoki/index.ts";
import { piv } from "../../src/piv/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, READER, refusal, rig, type Rig } from "./rig.ts";

const DATA = utf8("data");
const VERIFY = "00200080";
const verifications = (made: Rig): number =>
  made.commands.filter((command) => command.startsWith(VERIFY) && command.length > 8).length;

/** Another program resets the card. */
async function resetByAnother(made: Rig): Promise<void> {
  const other = await made.readers.client().connect(READER);
  await other.reconnect(1);
  await other.disconnect();
}

describe("C_Login", () => {
  test("lets the user in with the right PIN, as text or as bytes, and leaves the caller's bytes alone", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    for (const pin of [PIN, utf8(PIN), Buffer.from(PIN)]) {
      await cryptoki.C_Login(session, CKU.USER, pin);
      expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
      await cryptoki.C_Logout(session);
      expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
      expect(Buffer.from(pin).toString()).toBe(PIN);
    }
  });

  test("says how many tries are left after a wrong PIN, down to a blocked one", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    const session = await made.session();
    const flags = async (): Promise<number> => (await cryptoki.C_GetTokenInfo(slot)).flags & 0x70000;
    expect(await flags()).toBe(0);
    for (const [left, expected] of [
      [2, CKF.USER_PIN_COUNT_LOW],
      [1, CKF.USER_PIN_COUNT_LOW | CKF.USER_PIN_FINAL_TRY],
    ] as const) {
      await expect(cryptoki.C_Login(session, CKU.USER, "999999")).rejects.toMatchObject({
        ...refusal("PIN_INCORRECT"),
        cause: { triesLeft: left },
      });
      expect(await flags()).toBe(expected);
    }
    await expect(cryptoki.C_Login(session, CKU.USER, "999999")).rejects.toThrow(CryptokiError);
    await expect(cryptoki.C_Login(session, CKU.USER, PIN)).rejects.toMatchObject(refusal("PIN_LOCKED"));
    expect(await flags()).toBe(CKF.USER_PIN_LOCKED);
  });

  test.each([
    ["", "PIN_INCORRECT"],
    ["12345", "PIN_INCORRECT"],
    ["123456789012", "PIN_INCORRECT"],
    ["12345\u{e9}", "PIN_INCORRECT"],
  ])("never shows the card the PIN %j", async (pin, name) => {
    await using made = await rig(await testCard());
    const session = await made.session();
    await expect(made.cryptoki.C_Login(session, CKU.USER, pin)).rejects.toMatchObject(refusal(name));
    expect(verifications(made)).toBe(0);
  });

  test("says the length in the cause of a PIN that the card cannot take; the tries stay, and the login of an operation too", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const tooLong = {
      ...refusal("PIN_INCORRECT"),
      cause: {
        reason: "length",
        triesLeft: undefined,
        message: expect.stringContaining("6 to 8 characters") as unknown,
      },
    };
    await expect(cryptoki.C_Login(session, CKU.USER, "123456789012")).rejects.toMatchObject(tooLong);
    expect((await cryptoki.C_GetTokenInfo(await made.slot())).flags & CKF.USER_PIN_COUNT_LOW).toBe(0);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, await made.privateKey(session, 2));
    await expect(cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, "123456789012")).rejects.toMatchObject(tooLong);
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    // A new PIN of such a length is what CKR_PIN_LEN_RANGE is for.
    await expect(cryptoki.C_SetPIN(session, PIN, "123456789012")).rejects.toMatchObject(refusal("PIN_LEN_RANGE"));
  });

  test("is one for all sessions of the token, and said once", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const first = await made.loggedIn();
    const second = await made.session(0);
    expect((await cryptoki.C_GetSessionInfo(second)).state).toBe(CKS.RO_USER_FUNCTIONS);
    await expect(cryptoki.C_Login(second, CKU.USER, PIN)).rejects.toMatchObject(refusal("USER_ALREADY_LOGGED_IN"));
    await expect(cryptoki.C_Login(second, CKU.SO, PIN)).rejects.toMatchObject(refusal("SESSION_READ_ONLY_EXISTS"));
    await cryptoki.C_CloseSession(second);
    await expect(cryptoki.C_Login(first, CKU.SO, PIN)).rejects.toMatchObject(refusal("USER_ANOTHER_ALREADY_LOGGED_IN"));
    expect(verifications(made)).toBe(1);
  });

  test("ends with the last session", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    await cryptoki.C_CloseSession(await made.loggedIn());
    expect((await cryptoki.C_GetSessionInfo(await made.session())).state).toBe(CKS.RW_PUBLIC_SESSION);
    const probe = await made.readers.client().connect(READER);
    expect(await probe.transmit(fromHex("00200080"))).toEqual(fromHex("63c3"));
    await probe.disconnect();
  });

  test.each([
    [3, PIN, "USER_TYPE_INVALID"],
    [CKU.CONTEXT_SPECIFIC, PIN, "OPERATION_NOT_INITIALIZED"],
  ])("refuses user type %i", async (user, pin, name) => {
    await using made = await rig(await testCard());
    await expect(made.cryptoki.C_Login(await made.session(), user, pin)).rejects.toMatchObject(refusal(name));
    expect(verifications(made)).toBe(0);
  });

  test("keeps the PIN out of its errors", async () => {
    await using made = await rig(await testCard());
    const error = await made.cryptoki.C_Login(await made.session(), CKU.USER, "847362").catch((e: unknown) => e);
    const told = JSON.stringify([String(error), (error as Error).stack, (error as Error).cause, error]);
    expect(told).not.toContain("847362");
    expect(told).not.toContain(Buffer.from("847362").toString("hex"));
    expect((error as Error).cause).toBeInstanceOf(PinError);
  });
});

describe("a login", () => {
  test("is not granted because the card is open", async () => {
    const card = await testCard();
    await using made = await rig(card);
    await made.loggedIn();
    await using other = new Cryptoki({ slots: made.cryptoki.slots });
    await other.C_Initialize();
    const session = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    expect((await other.C_GetSessionInfo(session)).state).toBe(CKS.RO_PUBLIC_SESSION);
    await other.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
    expect(await other.C_FindObjects(session)).toEqual([]);
    await expect(other.C_Login(session, CKU.USER, "000000")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
  });

  test("of one application outlasts another's logout", async () => {
    await using made = await rig(await testCard());
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    {
      await using other = new Cryptoki({ slots: made.cryptoki.slots });
      await other.C_Initialize();
      const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
      await other.C_Login(theirs, CKU.USER, PIN);
      await other.C_Logout(theirs);
    }
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    expect(await made.cryptoki.C_Sign(session, DATA)).toHaveLength(256);
  });

  test("is gone after a reset by another program: not logged in, never a wrong PIN, and no try spent", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await resetByAnother(made);
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    expect(verifications(made)).toBe(1);
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
    await expect(cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key)).rejects.toMatchObject(
      refusal("USER_NOT_LOGGED_IN"),
    );
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(256);
  });

  test("ended by C_Logout ends for an operation that began before, though the card is open for another application", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    await other.C_Login(theirs, CKU.USER, PIN);
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await cryptoki.C_Logout(session);
    const used = await made.count(async () => {
      await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    });
    expect(used).toBe(0);
  });

  test("from before a reset is over, also when another application opens the card again", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    const theirs = await other.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION);
    await resetByAnother(made);
    await other.C_Login(theirs, CKU.USER, PIN);
    const used = await made.count(async () => {
      await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    });
    expect(used).toBe(0);
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
    expect((await other.C_GetSessionInfo(theirs)).state).toBe(CKS.RO_USER_FUNCTIONS);
  });

  test("ended by C_Logout takes the names of private objects along", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    const open = await made.privateKey(session, 4);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await expect(cryptoki.C_GetAttributeValue(session, key, [CKA.ID])).rejects.toMatchObject(
      refusal("OBJECT_HANDLE_INVALID"),
    );
    await cryptoki.C_GetAttributeValue(session, open, [CKA.ID]);
    expect(await made.privateKey(session, 1)).not.toBe(key);
  });

  test("that another program made the card forget can be had again at once", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 1);
    const other = await made.readers.client().connect(READER);
    // VERIFY with P1 = FF (SP 800-73-4 part 2 section 3.2.1): a reset that is not noticed.
    await other.transmit(fromHex("0020ff80"));
    await other.disconnect();
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(256);

    const printed = await made.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.PRIVATE]: true });
    expect(printed.length).toBeGreaterThan(0);
  });

  test("is not needed for the card authentication key", async () => {
    await using made = await rig(await testCard());
    const session = await made.session(0);
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, await made.privateKey(session, 4));
    expect(await made.cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    await expect(made.cryptoki.C_Logout(session)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  });
});

describe("a key that wants its PIN before each use", () => {
  const mechanism = { mechanism: CKM.ECDSA_SHA256 };

  test("has it between C_SignInit and C_Sign, each time", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 2);
    for (let turn = 0; turn < 2; turn++) {
      await cryptoki.C_SignInit(session, mechanism, key);
      await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
      expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    }
  });

  test("once more when a logout came between, even after a new login", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_SignInit(session, mechanism, await made.privateKey(session, 2));
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, PIN);
    await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  });

  test("without it: not logged in, the operation over, the card not asked", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    const key = await made.privateKey(session, 2);
    await cryptoki.C_SignInit(session, mechanism, key);
    const used = await made.count(async () => {
      await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    });
    expect(used).toBe(0);
    await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("OPERATION_NOT_INITIALIZED"));
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
  });

  test("a wrong one leaves the operation open for the right one", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_SignInit(session, mechanism, await made.privateKey(session, 2));
    await expect(cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, "000000")).rejects.toMatchObject(
      refusal("PIN_INCORRECT"),
    );
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
  });

  test("a blocked one logs the user out", async () => {
    await using made = await rig(await testCard({ tries: 1 }));
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_SignInit(session, mechanism, await made.privateKey(session, 2));
    for (let attempt = 0; attempt < 2; attempt++) {
      await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, "000000").catch(() => undefined);
    }
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
  });

  test("is taken for another key too, whose card may not tell that it wants it", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.loggedIn();
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await made.privateKey(session, 1));
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(256);
    await expect(cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN)).rejects.toMatchObject(
      refusal("OPERATION_NOT_INITIALIZED"),
    );
  });
});

test("the security officer needs a session that may write, and sees no private objects", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  await cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
  expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_SO_FUNCTIONS);
  await expect(made.session(0)).rejects.toMatchObject(refusal("SESSION_READ_WRITE_SO_EXISTS"));
  expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY })).toHaveLength(1);
});

test("two programs on one card: neither takes the other's login or tries", async () => {
  const card = await testCard();
  await using made = await rig(card);
  await using other = new Cryptoki({ pcsc: made.readers.client(), profiles: [piv] });
  await other.C_Initialize();
  const session = await made.loggedIn();
  const key = await made.privateKey(session, 1);
  const [slot = 0] = await other.C_GetSlotList(true);
  const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await other.C_Login(theirs, CKU.USER, PIN);
  await Promise.all(
    [1, 2, 3].map(async () => {
      await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key).catch(() => undefined);
      await made.cryptoki.C_Sign(session, DATA).catch(() => undefined);
    }),
  );
  await other.C_Logout(theirs);
  await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  // The other program made the card forget the PIN.
  await expect(made.cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
});

describe("a key pair that the security officer made", () => {
  const generated = async (made: Rig): Promise<readonly [number, number]> => {
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, "010203040506070801020304050607080102030405060708");
    const { privateKey } = await made.cryptoki.C_GenerateKeyPair(
      session,
      { mechanism: CKM.EC_KEY_PAIR_GEN },
      { [CKA.TOKEN]: true, [CKA.EC_PARAMS]: fromHex("06082a8648ce3d030107") },
      { [CKA.TOKEN]: true, [CKA.ID]: Uint8Array.of(1) },
    );
    return [session, privateKey];
  };

  test("shows what it is under the handles that were given, and not to a search", async () => {
    await using made = await rig(await testCard());
    const [session, key] = await generated(made);
    const shown = await made.cryptoki.C_GetAttributeValue(session, key, [CKA.CLASS, CKA.LABEL, CKA.KEY_TYPE]);
    expect(shown).toMatchObject({ [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.LABEL]: "PIV AUTH key" });
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) })).toEqual([]);
  });

  test("is used by the user only", async () => {
    await using made = await rig(await testCard());
    const [session, key] = await generated(made);
    const signing = made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
    await expect(signing).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  });

  test("has no handle after the officer's logout", async () => {
    await using made = await rig(await testCard());
    const [session, key] = await generated(made);
    await made.cryptoki.C_Logout(session);
    const asking = made.cryptoki.C_GetAttributeValue(session, key, [CKA.CLASS]);
    await expect(asking).rejects.toMatchObject(refusal("OBJECT_HANDLE_INVALID"));
  });
});
