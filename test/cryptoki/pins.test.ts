import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { copiesIn } from "./copies.ts";
import { fake } from "./fake-rig.ts";
import { PIN, READER, refusal, rig } from "./rig.ts";
import { FAKE } from "./two-pin-card.ts";

const PUK = "12345678";
const NEW = "654321";
const MANAGEMENT_KEY = "010203040506070801020304050607080102030405060708";

describe("C_SetPIN on a PIV card", () => {
  test("changes the user's PIN, logged in or not; a login stays, and no other user gets one", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    await cryptoki.C_SetPIN(session, PIN, utf8(NEW));
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
    expect(await made.find(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) })).toEqual([]);
    await cryptoki.C_Login(session, CKU.USER, NEW);
    await cryptoki.C_SetPIN(session, NEW, PIN);
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_USER_FUNCTIONS);
    await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, await made.privateKey(session, 1));
    expect(await cryptoki.C_Sign(session, utf8("data"))).toHaveLength(256);
  });

  test("leaves nothing verified on a card without a login", async () => {
    await using made = await rig(await testCard());
    await made.cryptoki.C_SetPIN(await made.session(), PIN, NEW);
    await using probe = await made.readers.client().connect(READER);
    expect(Buffer.from(await probe.transmit(Uint8Array.of(0, 0x20, 0, 0x80))).toString("hex")).toBe("63c3");
  });

  test("needs a session that may write", async () => {
    await using made = await rig(await testCard());
    await expect(made.cryptoki.C_SetPIN(await made.session(0), PIN, NEW)).rejects.toMatchObject(
      refusal("SESSION_READ_ONLY"),
    );
  });

  test("tells the tries left of a wrong old PIN, and what is wrong with the new one before the card sees either", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    const used = await made.count(async () => {
      for (const [oldPin, newPin, name] of [
        [PIN, "12345", "PIN_LEN_RANGE"],
        [PIN, "123456789", "PIN_LEN_RANGE"],
        [PIN, "12345\u{e9}", "PIN_INVALID"],
        ["12345\u{e9}", NEW, "PIN_INCORRECT"],
        ["", NEW, "PIN_LEN_RANGE"],
      ] as const) {
        await expect(cryptoki.C_SetPIN(session, oldPin, newPin)).rejects.toMatchObject(refusal(name));
      }
    });
    expect(used).toBe(0);
    await expect(cryptoki.C_SetPIN(session, "111111", NEW)).rejects.toMatchObject({
      ...refusal("PIN_INCORRECT"),
      cause: { triesLeft: 2 },
    });
    await expect(cryptoki.C_SetPIN(session, null, null)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
  });

  test("of the security officer: PIV has no command for it", async () => {
    await using made = await rig(await testCard());
    const session = await made.session();
    await made.cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    await expect(made.cryptoki.C_SetPIN(session, MANAGEMENT_KEY, MANAGEMENT_KEY)).rejects.toMatchObject(
      refusal("FUNCTION_NOT_SUPPORTED"),
    );
  });
});

describe("unblocking a PIV card", () => {
  test("C_UnlockPIN gives a new PIN with all its tries", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const session = await made.session();
    for (let left = 3; left > 0; left--) await cryptoki.C_Login(session, CKU.USER, "111111").catch(() => undefined);
    await expect(cryptoki.C_Login(session, CKU.USER, PIN)).rejects.toMatchObject(refusal("PIN_LOCKED"));
    await expect(cryptoki.C_UnlockPIN(session, "00000000", NEW)).rejects.toMatchObject({
      ...refusal("PIN_INCORRECT"),
      message: expect.stringContaining("PUK"),
      cause: { triesLeft: 2 },
    });
    await cryptoki.C_UnlockPIN(session, PUK, NEW);
    await cryptoki.C_Login(session, CKU.USER, NEW);
  });

  test("C_InitPIN and C_InitToken are told where to turn", async () => {
    await using made = await rig(await testCard());
    const { cryptoki } = made;
    const slot = await made.slot();
    for (const name of ["C_InitToken", "C_ResetToken"] as const) {
      const call = name === "C_InitToken" ? cryptoki.C_InitToken(slot, PUK, "new") : cryptoki.C_ResetToken(slot, PIN);
      await expect(call).rejects.toMatchObject(refusal("FUNCTION_NOT_SUPPORTED"));
    }
    const session = await made.session();
    await expect(cryptoki.C_InitPIN(session, NEW)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    await expect(cryptoki.C_InitPIN(session, NEW)).rejects.toMatchObject({
      ...refusal("FUNCTION_NOT_SUPPORTED"),
      message: expect.stringContaining("C_UnlockPIN"),
    });
  });
});

describe("a card whose officer has a PIN", () => {
  test("C_InitPIN sets the user's, in the officer's session only", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await cryptoki.C_Login(session, CKU.USER, "PIN1");
    await expect(cryptoki.C_InitPIN(session, NEW)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.SO, FAKE.SO_PIN);
    await expect(cryptoki.C_InitPIN(session, "1")).rejects.toMatchObject(refusal("PIN_LEN_RANGE"));
    await expect(cryptoki.C_InitPIN(session, "0000")).rejects.toMatchObject(refusal("PIN_INVALID"));
    await cryptoki.C_InitPIN(session, NEW);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, NEW);
  });

  test("C_SetPIN changes the officer's, and C_GetTokenInfo tells how it stands", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    const [slot = 0] = await cryptoki.C_GetSlotList(true);
    const flags = async (): Promise<number> => (await cryptoki.C_GetTokenInfo(slot)).flags & 0x700000;
    expect(await flags()).toBe(0);
    await expect(cryptoki.C_Login(session, CKU.SO, "wrong")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    expect(await flags()).toBe(CKF.SO_PIN_COUNT_LOW);
    await expect(cryptoki.C_Login(session, CKU.SO, "wrong")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    expect(await flags()).toBe(CKF.SO_PIN_COUNT_LOW | CKF.SO_PIN_FINAL_TRY);
    await cryptoki.C_Login(session, CKU.SO, FAKE.SO_PIN);
    await cryptoki.C_SetPIN(session, FAKE.SO_PIN, "officer2");
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_SO_FUNCTIONS);
    await cryptoki.C_Logout(session);
    for (let turn = 0; turn < 3; turn++) await cryptoki.C_Login(session, CKU.SO, FAKE.SO_PIN).catch(() => undefined);
    expect(await flags()).toBe(CKF.SO_PIN_LOCKED);
  });

  test("C_InitToken allows no session with the token, tells the card what C_SetVariable said, and the token is new", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    const [slot = 0] = await cryptoki.C_GetSlotList(true);
    await using other = new Cryptoki({ slots: cryptoki.slots });
    await other.C_Initialize();
    for (const app of [cryptoki, other]) {
      await expect(app.C_InitToken(slot, FAKE.SO_PIN, "New")).rejects.toMatchObject(refusal("SESSION_EXISTS"));
    }
    await cryptoki.C_CloseSession(session);
    await expect(cryptoki.C_InitToken(slot, FAKE.SO_PIN, "x".repeat(33))).rejects.toMatchObject(
      refusal("ARGUMENTS_BAD"),
    );
    await expect(cryptoki.C_InitToken(slot, "wrong", "New")).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await cryptoki.C_InitToken(slot, FAKE.SO_PIN, "New".padEnd(32));
    expect((await other.C_GetTokenInfo(slot)).label).toBe("New");
    await other.C_ResetToken(slot, "PIN1");
  });

  test("C_InitToken and C_ResetToken allow no session with the card's other tokens either: all of them are new then", async () => {
    await using made = await fake({}, { pinLabel: "PIN1" }, { pinLabel: "PIN2" });
    const { cryptoki, session, tokens } = made;
    await expect(cryptoki.C_InitToken(1, FAKE.SO_PIN, "New")).rejects.toMatchObject(refusal("SESSION_EXISTS"));
    await expect(cryptoki.C_ResetToken(1, "PIN2")).rejects.toMatchObject(refusal("SESSION_EXISTS"));
    await cryptoki.C_GetSessionInfo(session);
    expect(tokens.flatMap(({ asked }) => asked)).toEqual([]);
  });

  test("C_LoginUser is C_Login for users without names", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await expect(cryptoki.C_LoginUser(session, CKU.USER, "PIN1", "alice")).rejects.toMatchObject(
      refusal("ARGUMENTS_BAD"),
    );
    await cryptoki.C_LoginUser(session, CKU.USER, "PIN1", "");
    await cryptoki.C_Logout(session);
    await cryptoki.C_LoginUser(session, CKU.USER, "PIN1", null);
  });

  test("a token that nothing changes says so", async () => {
    await using made = await fake({}, { pinLabel: "PIN1", writeProtected: true });
    const [slot = 0] = await made.cryptoki.C_GetSlotList(true);
    expect((await made.cryptoki.C_GetTokenInfo(slot)).flags & CKF.WRITE_PROTECTED).toBe(CKF.WRITE_PROTECTED);
  });
});

test("a reader with keys takes the PINs that are null", async () => {
  await using made = await fake({}, { pinLabel: "PIN1", pinPad: true });
  const { cryptoki, session, tokens } = made;
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  expect((await cryptoki.C_GetTokenInfo(slot)).flags & CKF.PROTECTED_AUTHENTICATION_PATH).not.toBe(0);
  await cryptoki.C_UnlockPIN(session, null, null);
  await cryptoki.C_Login(session, CKU.USER, null);
  await cryptoki.C_SetPIN(session, null, null);
  expect(tokens[0]?.asked).toEqual(["pad unlock", "pad login user", "pad change user"]);
  await expect(cryptoki.C_SetPIN(session, null, NEW)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
});

describe("the detours for unlocking", () => {
  test("are closed unless they are asked for", async () => {
    await using made = await fake();
    const { cryptoki, session } = made;
    await expect(cryptoki.C_SetPIN(session, FAKE.PUK, NEW)).rejects.toMatchObject(refusal("PIN_INCORRECT"));
    await expect(cryptoki.C_Login(session, CKU.SO, FAKE.PUK)).rejects.toMatchObject(refusal("PIN_INCORRECT"));
  });

  test("C_SetPIN takes the PUK as the old PIN if no user is logged in", async () => {
    await using made = await fake({ unlockBy: ["C_SetPIN"] });
    const { cryptoki, session } = made;
    await cryptoki.C_SetPIN(session, FAKE.PUK, NEW);
    await cryptoki.C_Login(session, CKU.USER, NEW);
    await cryptoki.C_SetPIN(session, NEW, PIN);
  });

  test("C_Login takes the PUK for the officer's PIN, and C_InitPIN uses it, once", async () => {
    await using made = await fake({ unlockBy: ["C_InitPIN"] });
    const { cryptoki, session, tokens } = made;
    await cryptoki.C_Login(session, CKU.SO, FAKE.PUK);
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_SO_FUNCTIONS);
    expect(tokens[0]?.asked).toEqual([]);
    await expect(cryptoki.C_InitPIN(session, "0000")).rejects.toMatchObject(refusal("PIN_INVALID"));
    await cryptoki.C_InitPIN(session, NEW);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, NEW);
    await cryptoki.C_Logout(session);
    // What is not as long as a PUK is the officer's own PIN.
    await cryptoki.C_Login(session, CKU.SO, FAKE.SO_PIN);
    await cryptoki.C_InitPIN(session, PIN);
    expect(tokens[0]?.asked).toContain("init");
  });

  test("a PUK that is wrong is tried once, and logs its officer out", async () => {
    await using made = await fake({ unlockBy: ["C_InitPIN"] });
    const { cryptoki, session } = made;
    await cryptoki.C_Login(session, CKU.SO, "11111111");
    await expect(cryptoki.C_InitPIN(session, NEW)).rejects.toMatchObject({
      ...refusal("PIN_INCORRECT"),
      cause: { triesLeft: 2 },
    });
    await expect(cryptoki.C_InitPIN(session, NEW)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
    expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
  });

  test("a PUK that a logout wiped is not sent", async () => {
    await using made = await fake({ unlockBy: ["C_InitPIN"] });
    const { cryptoki, session, tokens } = made;
    const second = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await cryptoki.C_Login(session, CKU.SO, FAKE.PUK);
    const outcomes = await Promise.allSettled([
      cryptoki.C_Logout(second),
      cryptoki.C_InitPIN(session, NEW),
      cryptoki.C_InitPIN(second, NEW),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(tokens[0]?.puk.tries).toBe(3);
    expect(tokens[0]?.asked).not.toContain("unlock");
  });

  test("also on a PIV card, whose management key is the officer's all the same", async () => {
    const readers = new MemoryReaders();
    const { piv } = await import("../../src/piv/index.ts");
    readers.plug(READER);
    readers.insert(READER, await testCard());
    await using cryptoki = new Cryptoki({ pcsc: readers.client(), profiles: [piv], unlockBy: ["C_InitPIN"] });
    await cryptoki.C_Initialize();
    const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await cryptoki.C_Login(session, CKU.SO, MANAGEMENT_KEY);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.SO, PUK);
    await cryptoki.C_InitPIN(session, NEW);
    await cryptoki.C_Logout(session);
    await cryptoki.C_Login(session, CKU.USER, NEW);
  });
});

test("no copy of a PIN or PUK stays behind that was given without the other one", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  const secret = utf8(PUK);
  const copies = await copiesIn(async () => {
    await expect(cryptoki.C_SetPIN(session, secret, null)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
    await expect(cryptoki.C_UnlockPIN(session, secret, null)).rejects.toMatchObject(refusal("ARGUMENTS_BAD"));
  });
  expect(copies).toHaveLength(2);
  expect(copies).not.toContainEqual(secret);
});
