import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKS, CKU, Cryptoki, CryptokiError } from "../../src/cryptoki/index.ts";
import { PcscError } from "../../src/pcsc/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, READER, refusal, rig, type Rig, settled } from "./rig.ts";

const DATA = utf8("data");

/** Everything that touches the card, call by call. */
const STEPS: readonly (readonly [
  name: string,
  step: (made: Rig, state: { session: number; key: number }) => Promise<unknown>,
])[] = [
  ["C_GetSlotList", (made) => made.cryptoki.C_GetSlotList(true)],
  ["C_GetTokenInfo", async (made) => made.cryptoki.C_GetTokenInfo(0)],
  [
    "C_OpenSession",
    async (made, state) => (state.session = await made.cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION | CKF.RW_SESSION)),
  ],
  ["C_Login", (made, { session }) => made.cryptoki.C_Login(session, CKU.USER, PIN)],
  [
    "C_FindObjects",
    async (made, state) => {
      await made.cryptoki.C_FindObjectsInit(state.session, {
        [CKA.CLASS]: CKO.PRIVATE_KEY,
        [CKA.ID]: Uint8Array.of(2),
        [CKA.SIGN]: true,
      });
      [state.key = 0] = await made.cryptoki.C_FindObjects(state.session, 1);
      await made.cryptoki.C_FindObjectsFinal(state.session);
    },
  ],
  ["C_GetAttributeValue", (made, { session, key }) => made.cryptoki.C_GetAttributeValue(session, key, [CKA.EC_PARAMS])],
  ["C_SignInit", (made, { session, key }) => made.cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key)],
  ["C_Login again", (made, { session }) => made.cryptoki.C_Login(session, CKU.CONTEXT_SPECIFIC, PIN)],
  ["C_Sign", (made, { session }) => made.cryptoki.C_Sign(session, DATA)],
  ["C_Logout", (made, { session }) => made.cryptoki.C_Logout(session)],
];

const STALE = "CKR_SESSION_HANDLE_INVALID";
/** Exchanges of C_GetSlotList on a card that must be told to select the application. */
const LIST = 1;

describe.each([
  [
    "the card is taken out",
    (made: Rig): void => {
      made.readers.eject(READER);
    },
  ],
  [
    "the reader is unplugged",
    (made: Rig): void => {
      made.readers.unplug(READER);
    },
  ],
])("%s", (what, disturb) => {
  test("at any exchange: the call under way says so, those after it have no session", async () => {
    const card = await testCard({ defaultSelected: false });
    let exchanges = 1;
    for (let at = 1; at <= exchanges; at++) {
      card.reset();
      await using made = await rig(card);
      const { cryptoki } = made;
      made.before = (_command, number): void => {
        if (number === at) disturb(made);
      };
      const state = { session: 0, key: 0 };
      const outcomes: (readonly [name: string, refused: string])[] = [];
      for (const [name, step] of STEPS) {
        const outcome = await step(made, state).catch((error: unknown) => error);
        if (outcome instanceof CryptokiError) outcomes.push([name, outcome.code]);
      }
      const [[struck, first] = ["nothing", "nothing"], ...after] = outcomes;
      // C_GetSlotList shows a card that went as a slot without one: there is no call to fail.
      const inList = made.commands.length <= LIST;
      expect([at, struck, first]).toEqual([
        at,
        inList ? "C_GetTokenInfo" : struck,
        inList ? "CKR_TOKEN_NOT_PRESENT" : "CKR_DEVICE_REMOVED",
      ]);
      const opened = state.session !== 0;
      if (opened) expect(new Set(after.map(([, name]) => name))).toEqual(new Set(after.length > 0 ? [STALE] : []));
      if (at === 1) {
        // How many exchanges an undisturbed walk takes.
        card.reset();
        await using calm = await rig(card);
        const walk = { session: 0, key: 0 };
        for (const [, step] of STEPS) await step(calm, walk);
        exchanges = calm.commands.length;
        expect(exchanges).toBeGreaterThan(8);
      }
      await settled();
      expect(await cryptoki.C_GetSlotList(true)).toEqual([]);
      // And back again: everything works, under the same slot ID.
      made.before = undefined;
      if (what.startsWith("the reader")) made.readers.plug(READER);
      made.insert(card);
      await settled();
      expect(await made.slot()).toBe(0);
      const again = { session: 0, key: 0 };
      for (const [, step] of STEPS) await step(made, again);
    }
  });
});

test("a card put in again, or another one, inherits no handle", async () => {
  const card = await testCard();
  await using made = await rig(card);
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const key = await made.privateKey(session, 1);
  made.readers.eject(READER);
  made.insert(await testCard());
  await settled();
  await expect(cryptoki.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
  const fresh = await made.loggedIn();
  expect(fresh).not.toBe(session);
  await expect(cryptoki.C_SignInit(fresh, { mechanism: CKM.SHA256_RSA_PKCS }, key)).rejects.toMatchObject(
    refusal("KEY_HANDLE_INVALID"),
  );
  expect(await made.privateKey(fresh, 1)).not.toBe(key);
});

test("a removal without a later use of the card is noticed by its event", async () => {
  await using made = await rig(await testCard());
  const session = await made.session();
  made.readers.eject(READER);
  await settled();
  await expect(made.cryptoki.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
  await expect(made.cryptoki.C_GetTokenInfo(0)).rejects.toMatchObject(refusal("TOKEN_NOT_PRESENT"));
});

test("calls that wait behind the one under way end as well", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.session();
  made.before = (): void => {
    made.before = undefined;
    made.readers.eject(READER);
  };
  const calls = await Promise.allSettled([
    cryptoki.C_Login(session, CKU.USER, PIN),
    cryptoki.C_GenerateRandom(session, 1),
    cryptoki.C_FindObjectsInit(session, {}),
  ]);
  expect(calls.map((call) => (call.status === "rejected" ? (call.reason as CryptokiError).code : ""))).toEqual([
    "CKR_DEVICE_REMOVED",
    "CKR_SESSION_HANDLE_INVALID",
    "CKR_SESSION_HANDLE_INVALID",
  ]);
});

test("a reset in the middle of a reading or a signature ends the login, and the reading succeeds all the same", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const resetAt = (instruction: number): void => {
    made.before = (command): void => {
      if (command[1] !== instruction) return;
      made.before = undefined;
      throw new PcscError("SCARD_W_RESET_CARD");
    };
  };
  resetAt(0xcb);
  expect(await made.find(session, { [CKA.CLASS]: CKO.CERTIFICATE })).toHaveLength(4);
  expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
  await cryptoki.C_Login(session, CKU.USER, PIN);
  const key = await made.privateKey(session, 1);
  await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
  resetAt(0x87);
  await expect(cryptoki.C_Sign(session, DATA)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  expect((await cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
});

test("a search that loses its login to a reset says so, and does not find less in silence", async () => {
  await using made = await rig(await testCard());
  const { cryptoki } = made;
  const session = await made.loggedIn();
  const PRIVATE_KEYS = { [CKA.CLASS]: CKO.PRIVATE_KEY };
  made.before = (command): void => {
    if (command[1] !== 0xcb) return;
    made.before = undefined;
    throw new PcscError("SCARD_W_RESET_CARD");
  };
  await cryptoki.C_FindObjectsInit(session, PRIVATE_KEYS);
  await expect(cryptoki.C_FindObjects(session)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  await expect(cryptoki.C_FindObjects(session)).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  await cryptoki.C_Login(session, CKU.USER, PIN);
  // The search goes on where it stood.
  expect(await cryptoki.C_FindObjects(session)).toHaveLength(4);
  // A logout is the caller's own doing; the key in 9E wants no login.
  await cryptoki.C_FindObjectsFinal(session);
  await cryptoki.C_FindObjectsInit(session, PRIVATE_KEYS);
  await cryptoki.C_Logout(session);
  expect(await cryptoki.C_FindObjects(session)).toHaveLength(1);
});

test("a card that is gone when a login's turn comes gives no login, nor keeps a PUK", async () => {
  await using made = await rig(await testCard());
  const session = await made.session();
  await using officer = new Cryptoki({ slots: made.cryptoki.slots, unlockBy: ["C_InitPIN"] });
  await officer.C_Initialize();
  const other = await officer.C_OpenSession(await made.slot(), CKF.SERIAL_SESSION | CKF.RW_SESSION);
  // Now the card needs to tell no more of its PUK.
  await officer.C_GetTokenInfo(await made.slot());
  let queued: Promise<unknown> | undefined;
  made.before = async () => {
    made.before = undefined;
    queued = expect(officer.C_Login(other, CKU.SO, "12345678")).rejects.toMatchObject(refusal("DEVICE_REMOVED"));
    await settled();
    made.readers.eject(READER);
    await settled();
  };
  await expect(made.cryptoki.C_Login(session, CKU.USER, PIN)).rejects.toMatchObject(refusal("DEVICE_REMOVED"));
  expect(queued).toBeDefined();
  await queued;
});

test.each(["never answers", "answers"])(
  "a card that is replaced within its own exchange, and then %s, holds up no list",
  async (how) => {
    await using made = await rig();
    const next = await testCard();
    made.readers.insert(READER, {
      atr: next.atr,
      reset: () => undefined,
      transmit: () => {
        made.readers.eject(READER);
        made.readers.insert(READER, next);
        return how === "answers" ? Promise.resolve(Uint8Array.of(0x6a, 0x82)) : new Promise(() => undefined);
      },
    });
    await settled();
    await made.cryptoki.C_GetSlotList(true);
    await settled();
    const [slot = -1] = await made.cryptoki.C_GetSlotList(true);
    expect(await made.cryptoki.C_GetTokenInfo(slot)).toMatchObject({ model: "PIV" });
  },
);
