import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { setImmediate } from "node:timers/promises";
import { CKA, CKF, CKF_MECHANISM, CKM, CKO, CKR, CKS, CKU, Cryptoki } from "../../src/cryptoki/index.ts";
import { profiles } from "../../src/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, READER, type Rig, rig } from "./rig.ts";

/** Keys that want their PIN before each use: the card is kept from C_Login(CKU_CONTEXT_SPECIFIC) to the end of the operation. */
const DATA = new Uint8Array(20);
const ECDSA = { mechanism: CKM.ECDSA_SHA256 };
const RSA = { mechanism: CKM.SHA256_RSA_PKCS };

let made: Rig;
let slot: number;
let session: number;
let key: number;
let other: Cryptoki;

const authenticated = async (): Promise<void> => {
  await made.cryptoki.C_SignInit(session, ECDSA, key);
  await made.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
};

beforeEach(async () => {
  made = await rig(await testCard(), profiles);
  slot = await made.slot();
  session = await made.loggedIn();
  key = await made.privateKey(session, 2);
  other = new Cryptoki({ slots: made.cryptoki.slots });
  await other.C_Initialize();
});

afterEach(async () => {
  await other[Symbol.asyncDispose]();
  await made[Symbol.asyncDispose]();
});

/** Work of the other application that reaches the card, begun and not waited for. */
const reachesTheCard = async (): Promise<unknown> => {
  const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await other.C_FindObjectsInit(theirs, {
    [CKA.CLASS]: CKO.DATA,
    [CKA.LABEL]: "X.509 Certificate for Card Authentication",
  });
  await other.C_FindObjects(theirs);
  await other.C_FindObjectsFinal(theirs);
  return other.C_CloseSession(theirs);
};

describe("between the PIN and the signature", () => {
  test("200 of 200 signatures succeed while another application asks for token information and reads", async () => {
    const { cryptoki } = made;
    let polling = true;
    const poll = async (): Promise<number> => {
      let count = 0;
      for (; polling; count++) {
        await other.C_GetTokenInfo(slot);
        await reachesTheCard();
        await setImmediate();
      }
      return count;
    };
    const polled = poll();
    for (let turn = 0; turn < 200; turn++) {
      await authenticated();
      await setImmediate();
      expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    }
    polling = false;
    expect(await polled).toBeGreaterThan(0);
  });

  test("a signature of another session with another key waits", async () => {
    const { cryptoki } = made;
    const second = await made.session();
    const authentication = await made.privateKey(second, 1);
    await cryptoki.C_SignInit(second, RSA, authentication);
    await authenticated();
    const waiting = cryptoki.C_Sign(second, DATA);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    expect(await waiting).toHaveLength(256);
  });

  test("token information is told from memory, at once", async () => {
    const before = await other.C_GetTokenInfo(slot);
    await authenticated();
    const used = await made.count(async () => {
      expect(await other.C_GetTokenInfo(slot)).toEqual(before);
      expect((await made.cryptoki.C_GetTokenInfo(slot)).label).toBe(before.label);
    });
    expect(used).toBe(0);
    expect(await made.cryptoki.C_Sign(session, DATA)).toHaveLength(64);
  });

  test("another program waits", async () => {
    await authenticated();
    const connecting = made.readers.client({ patience: 20 }).connect(READER);
    await expect(connecting).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    expect(await made.cryptoki.C_Sign(session, DATA)).toHaveLength(64);
  });

  describe("a program that makes one call after the other signs", () => {
    const signs = async (): Promise<void> => {
      expect(await made.cryptoki.C_Sign(session, DATA)).toHaveLength(64);
    };
    const search = async (theirs: Cryptoki, in_: number): Promise<void> => {
      // Names a place, so that the card is asked for it.
      await theirs.C_FindObjectsInit(in_, { [CKA.CLASS]: CKO.DATA, [CKA.LABEL]: "Cardholder Fingerprints" });
      await theirs.C_FindObjects(in_);
      await theirs.C_FindObjectsFinal(in_);
    };
    const between: readonly (readonly [string, () => Promise<unknown>])[] = [
      ["C_GetTokenInfo", () => made.cryptoki.C_GetTokenInfo(slot)],
      ["a first search of its session", () => search(made.cryptoki, session)],
      [
        "another session's signature with another key",
        async () => {
          const second = await made.session();
          await made.cryptoki.C_SignInit(second, RSA, await made.privateKey(second, 1));
          expect(await made.cryptoki.C_Sign(second, DATA)).toHaveLength(256);
        },
      ],
      [
        "another session's signature with the same key",
        async () => {
          const second = await made.session();
          await made.cryptoki.C_SignInit(second, ECDSA, key);
          await made.cryptoki.C_Login(second, CKU.CONTEXT_SPECIFIC, PIN);
          expect(await made.cryptoki.C_Sign(second, DATA)).toHaveLength(64);
        },
      ],
      ["another application's search", reachesTheCard],
      [
        "another application's wrong PIN",
        async () => {
          const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION);
          await expect(other.C_Login(theirs, CKU.USER, "000000")).rejects.toMatchObject({ rv: CKR.PIN_INCORRECT });
        },
      ],
    ];

    test.each(between)("after %s", async (_, work) => {
      await authenticated();
      await work();
      await signs();
    });

    test("but not after another application changed the PIN, and no try is spent", async () => {
      const theirs = await other.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
      await authenticated();
      await other.C_SetPIN(theirs, PIN, "654321");
      await expect(made.cryptoki.C_Sign(session, DATA)).rejects.toMatchObject({ rv: CKR.USER_NOT_LOGGED_IN });
      expect((await made.cryptoki.C_GetTokenInfo(slot)).flags & CKF.USER_PIN_COUNT_LOW).toBe(0);
      await other.C_SetPIN(theirs, "654321", PIN);
    });
  });

  test("a wrong PIN keeps nothing", async () => {
    const { cryptoki } = made;
    await cryptoki.C_SignInit(session, ECDSA, key);
    await expect(cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, "000000")).rejects.toMatchObject({
      rv: CKR.PIN_INCORRECT,
    });
    await reachesTheCard();
  });
});

describe("what ends the hold", () => {
  const ends: readonly (readonly [string, () => Promise<unknown>])[] = [
    ["C_Logout", () => made.cryptoki.C_Logout(session)],
    ["C_CloseSession", () => made.cryptoki.C_CloseSession(session)],
    ["C_CloseAllSessions", async () => made.cryptoki.C_CloseAllSessions(await made.slot())],
    ["C_Finalize", () => made.cryptoki.C_Finalize()],
    ["C_SessionCancel", () => made.cryptoki.C_SessionCancel(session, CKF_MECHANISM.SIGN)],
    ["C_SignInit without a mechanism", () => made.cryptoki.C_SignInit(session, null, 0)],
    ["an error of the operation", () => made.cryptoki.C_Sign(session, "no bytes" as never).catch(() => undefined)],
    [
      "an abort of the signature",
      async () => {
        const stop = new AbortController();
        const signing = made.cryptoki.C_Sign(session, DATA, { signal: stop.signal });
        stop.abort();
        await expect(signing).rejects.toMatchObject({ rv: CKR.FUNCTION_CANCELED });
      },
    ],
    [
      "a second C_Login for the same operation",
      () => made.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN).then(() => made.cryptoki.C_Sign(session, DATA)),
    ],
  ];

  test.each(ends)("%s", async (_, end) => {
    await authenticated();
    await end();
    // It would wait for four seconds, and longer than this test.
    const begun = performance.now();
    await reachesTheCard();
    expect(performance.now() - begun).toBeLessThan(3_500);
  });

  test("the card is taken out", async () => {
    await authenticated();
    made.readers.eject(READER);
    await expect(made.cryptoki.C_Sign(session, DATA)).rejects.toMatchObject({ rv: CKR.DEVICE_REMOVED });
  });
});

test("a client that never signs loses the card, and the operation wants its PIN again; the login stays", async () => {
  await using short = await rig(await testCard(), profiles);
  const cryptoki = new Cryptoki({ pcsc: short.pcsc, profiles, hold: 5 });
  await cryptoki.C_Initialize();
  const [slot = 0] = await cryptoki.C_GetSlotList(true);
  const mine = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
  await cryptoki.C_Login(mine, CKU.USER, PIN);
  await cryptoki.C_FindObjectsInit(mine, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
  const [signing = 0] = await cryptoki.C_FindObjects(mine);
  await cryptoki.C_FindObjectsFinal(mine);
  await cryptoki.C_SignInit(mine, ECDSA, signing);
  await cryptoki.C_Login(mine, CKU.CONTEXT_SPECIFIC, PIN);
  const theirs = new Cryptoki({ slots: cryptoki.slots });
  await theirs.C_Initialize();
  const second = await theirs.C_OpenSession(slot, CKF.SERIAL_SESSION);
  // Waits until the time is over.
  await theirs.C_Login(second, CKU.USER, PIN);
  const used = await short.count(async () => {
    await expect(cryptoki.C_Sign(mine, DATA)).rejects.toMatchObject({
      rv: CKR.USER_NOT_LOGGED_IN,
      message: expect.stringContaining("came too late") as unknown,
    });
  });
  expect(used).toBe(0);
  expect((await cryptoki.C_GetSessionInfo(mine)).state).toBe(CKS.RO_USER_FUNCTIONS);
  await cryptoki.C_SignInit(mine, ECDSA, signing);
  await cryptoki.C_Login(mine, CKU.CONTEXT_SPECIFIC, PIN);
  expect(await cryptoki.C_Sign(mine, DATA)).toHaveLength(64);
  await theirs.C_Finalize();
  await cryptoki.C_Finalize();
});

describe("a signature that was given up while it waits for the PIN", () => {
  const other = async (): Promise<number> => made.privateKey(session, 1);
  const active = { rv: CKR.OPERATION_ACTIVE };

  test("gives way to one with another key", async () => {
    const { cryptoki } = made;
    const authentication = await other();
    await cryptoki.C_SignInit(session, ECDSA, key);
    await cryptoki.C_SignInit(session, RSA, authentication);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(256);
  });

  test("stays for one with the same key, and when the other one fails", async () => {
    const { cryptoki } = made;
    await cryptoki.C_SignInit(session, ECDSA, key);
    await expect(cryptoki.C_SignInit(session, ECDSA, key)).rejects.toMatchObject(active);
    await expect(cryptoki.C_SignInit(session, RSA, 4_711)).rejects.toMatchObject({ rv: CKR.KEY_HANDLE_INVALID });
    await cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN);
    expect(await cryptoki.C_Sign(session, DATA)).toHaveLength(64);
  });

  test.each<readonly [string, () => Promise<unknown>]>([
    ["the PIN was given", () => made.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN)],
    [
      "a wrong PIN was given",
      () => made.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, "000000").catch(() => undefined),
    ],
    ["a part came in", () => made.cryptoki.C_SignUpdate(session, DATA)],
  ])("stays once %s", async (_, call) => {
    const authentication = await other();
    await made.cryptoki.C_SignInit(session, ECDSA, key);
    await call();
    await expect(made.cryptoki.C_SignInit(session, RSA, authentication)).rejects.toMatchObject(active);
  });

  test("stays where its key does not want the PIN each time", async () => {
    const authentication = await other();
    await made.cryptoki.C_SignInit(session, RSA, authentication);
    await expect(made.cryptoki.C_SignInit(session, ECDSA, key)).rejects.toMatchObject(active);
  });
});

describe("an application that keeps its PIN", () => {
  const open = async (): Promise<readonly [Cryptoki, number, number]> => {
    const cryptoki = new Cryptoki({ slots: made.cryptoki.slots, keepPin: true });
    await cryptoki.C_Initialize();
    const mine = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    await cryptoki.C_Login(mine, CKU.USER, PIN);
    await cryptoki.C_FindObjectsInit(mine, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(2) });
    const [signing = 0] = await cryptoki.C_FindObjects(mine);
    await cryptoki.C_FindObjectsFinal(mine);
    return [cryptoki, mine, signing];
  };

  test("signs with a key that wants it each time, without a context login and with one", async () => {
    const [cryptoki, mine, signing] = await open();
    for (const login of [false, true, false]) {
      await cryptoki.C_SignInit(mine, ECDSA, signing);
      if (login) await cryptoki.C_Login(mine, CKU.CONTEXT_SPECIFIC, PIN);
      expect(await cryptoki.C_Sign(mine, DATA)).toHaveLength(64);
    }
    await cryptoki.C_Finalize();
  });

  test("is told that no PIN is wanted each time, as long as it is kept; others are told that it is", async () => {
    const [cryptoki, mine, signing] = await open();
    const wants = async (application: Cryptoki, in_: number, object: number): Promise<boolean> => {
      const types = [CKA.ALWAYS_AUTHENTICATE] as const;
      return (await application.C_GetAttributeValue(in_, object, types))[CKA.ALWAYS_AUTHENTICATE];
    };
    expect(await wants(cryptoki, mine, signing)).toBe(false);
    expect(await wants(made.cryptoki, session, key)).toBe(true);
    // The PIN was changed: what is kept is not the card's any more.
    await made.cryptoki.C_SetPIN(session, PIN, "654321");
    await cryptoki.C_SignInit(mine, ECDSA, signing);
    await expect(cryptoki.C_Sign(mine, DATA)).rejects.toMatchObject({ rv: CKR.USER_NOT_LOGGED_IN });
    expect(await wants(cryptoki, mine, signing)).toBe(true);
    await made.cryptoki.C_SetPIN(session, "654321", PIN);
    await cryptoki.C_Finalize();
  });

  test("does not give it in place of a wrong one, nor for others, nor after its logout", async () => {
    const [cryptoki, mine, signing] = await open();
    const refused = { rv: CKR.USER_NOT_LOGGED_IN };
    await cryptoki.C_SignInit(mine, ECDSA, signing);
    await cryptoki.C_Login(mine, CKU.CONTEXT_SPECIFIC, "000000").catch(() => undefined);
    await expect(cryptoki.C_Sign(mine, DATA)).rejects.toMatchObject(refused);
    await made.cryptoki.C_SignInit(session, ECDSA, key);
    await expect(made.cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refused);
    await cryptoki.C_SignInit(mine, ECDSA, signing);
    await cryptoki.C_Logout(mine);
    await expect(cryptoki.C_Sign(mine, DATA)).rejects.toMatchObject(refused);
    await cryptoki.C_Finalize();
  });

  test("spends no try when another application of the process changed the PIN, and keeps one that was not changed", async () => {
    const [cryptoki, mine, signing] = await open();
    const wrong = { rv: CKR.PIN_INCORRECT, cause: { triesLeft: 2 } };
    await expect(made.cryptoki.C_SetPIN(session, "999999", "654321")).rejects.toMatchObject(wrong);
    await cryptoki.C_SignInit(mine, ECDSA, signing);
    expect(await cryptoki.C_Sign(mine, DATA)).toHaveLength(64);
    await made.cryptoki.C_SetPIN(session, PIN, "654321");
    await cryptoki.C_SignInit(mine, ECDSA, signing);
    await expect(cryptoki.C_Sign(mine, DATA)).rejects.toThrow("CKR_USER_NOT_LOGGED_IN: this key needs its PIN");
    expect((await made.cryptoki.C_GetTokenInfo(slot)).flags & CKF.USER_PIN_COUNT_LOW).toBe(0);
    await made.cryptoki.C_UnlockPIN(session, "12345678", PIN);
    await cryptoki.C_Finalize();
  });

  test("spends no try when the PIN was unblocked with another one", async () => {
    const [cryptoki, mine, signing] = await open();
    await made.cryptoki.C_UnlockPIN(session, "12345678", "654321");
    await cryptoki.C_SignInit(mine, ECDSA, signing);
    await expect(cryptoki.C_Sign(mine, DATA)).rejects.toThrow("CKR_USER_NOT_LOGGED_IN: this key needs its PIN");
    await made.cryptoki.C_SetPIN(session, "654321", PIN);
    await cryptoki.C_Finalize();
  });
});
