import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKO, CKU, Cryptoki, type CryptokiOptions } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { READER, refusal, settled } from "./rig.ts";
import { AGREEABLE, fakeProfile, type FakeTokenOptions } from "./two-pin-card.ts";
import { shareOf } from "../seeded-random.ts";

const TWO: readonly FakeTokenOptions[] = [{ pinLabel: "PIN1" }, { pinLabel: "PIN2" }];

function open(
  tokens: readonly FakeTokenOptions[],
  options: Partial<CryptokiOptions> = {},
): { readonly readers: MemoryReaders; readonly cryptoki: Cryptoki } {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, AGREEABLE);
  return {
    readers,
    cryptoki: new Cryptoki({ pcsc: readers.client(), profiles: [fakeProfile(...tokens)], ...options }),
  };
}

const labels = async (cryptoki: Cryptoki): Promise<string[]> => {
  const slots = await cryptoki.C_GetSlotList(true);
  return Promise.all(slots.map(async (slot) => (await cryptoki.C_GetTokenInfo(slot)).label));
};

describe("the label of a token that shares its card", () => {
  test("ends with the PIN's name, however long the token's is", async () => {
    const name = "Telia EID IP5a (legitimering)";
    await using cryptoki = open(TWO.map((token) => ({ ...token, name }))).cryptoki;
    await cryptoki.C_Initialize();
    expect(await labels(cryptoki)).toEqual(["Telia EID IP5a (legitimer (PIN1)", "Telia EID IP5a (legitimer (PIN2)"]);
  });

  test("is at most 32 bytes of whole characters, and has as much of the PIN's name as there is room for", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", maxLength: 40 }),
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }),
        async (name, pin) => {
          await using cryptoki = open([{ name, pinLabel: pin }, { pinLabel: "PIN2" }]).cryptoki;
          await cryptoki.C_Initialize();
          const [label = ""] = await labels(cryptoki);
          expect(utf8(label).length).toBeLessThanOrEqual(32);
          const plain = pin.replace(/\p{Cc}/gu, " ");
          if (utf8(plain).length <= 29) expect(label.endsWith(`(${plain})`)).toBe(true);
        },
      ),
      { numRuns: shareOf(50) },
    );
  });
});

describe("public objects", () => {
  test("are seen in each token without a login, and a login at one is none at the other", async () => {
    await using cryptoki = open(TWO).cryptoki;
    await cryptoki.C_Initialize();
    const sessions = await Promise.all(
      (await cryptoki.C_GetSlotList(true)).map((slot) => cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION)),
    );
    for (const [index, session] of sessions.entries()) {
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.CERTIFICATE });
      const [certificate = 0] = await cryptoki.C_FindObjects(session);
      const { [CKA.LABEL]: label } = await cryptoki.C_GetAttributeValue(session, certificate, [CKA.LABEL]);
      expect(label).toBe(`PIN${index + 1}`);
    }
    const [first = 0, second = 0] = sessions;
    await cryptoki.C_Login(first, CKU.USER, "PIN1");
    expect((await cryptoki.C_GetSessionInfo(second)).state).toBe(0);
    await cryptoki.C_Login(second, CKU.USER, "PIN2");
  });
});

describe("an application that wants one slot a reader", () => {
  test.each([
    [0, "PIN1"],
    [1, "PIN2"],
    ["PIN2", "PIN2"],
    ["PIN3", "PIN1"],
    [7, "PIN1"],
  ])("sees the token that %j says", async (singleSlot, pin) => {
    await using cryptoki = open(TWO, { singleSlot }).cryptoki;
    await cryptoki.C_Initialize();
    expect(await cryptoki.C_GetSlotList(true)).toEqual([0]);
    expect(await cryptoki.C_GetSlotList(false)).toEqual([0]);
    expect((await cryptoki.C_GetTokenInfo(0)).label).toBe(`Identity Card (${pin})`);
    const session = await cryptoki.C_OpenSession(0, CKF.SERIAL_SESSION);
    expect((await cryptoki.C_GetSessionInfo(session)).slotID).toBe(0);
    await cryptoki.C_Login(session, CKU.USER, pin);
    await cryptoki.C_CloseAllSessions(0);
    await expect(cryptoki.C_GetSessionInfo(session)).rejects.toMatchObject(refusal("SESSION_HANDLE_INVALID"));
    await expect(cryptoki.C_GetSlotInfo(1)).rejects.toMatchObject(refusal("SLOT_ID_INVALID"));
  });

  test("shares the card with another that sees all slots, and receives the events of its own", async () => {
    const { cryptoki: shared, readers } = open(TWO);
    await using cryptoki = shared;
    await using single = new Cryptoki({ slots: cryptoki.slots, singleSlot: "PIN2" });
    await cryptoki.C_Initialize();
    await single.C_Initialize();
    expect(await cryptoki.C_GetSlotList(true)).toEqual([0, 1]);
    expect(await single.C_GetSlotList(true)).toEqual([0]);
    readers.eject(READER);
    await settled();
    expect(await single.C_WaitForSlotEvent(CKF.DONT_BLOCK)).toBe(0);
    await expect(single.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
  });
});

test("a card with several PINs that is put in has an event for each slot; one that was in has none", async () => {
  const { cryptoki: opened, readers } = open(TWO);
  await using cryptoki = opened;
  await using single = new Cryptoki({ slots: cryptoki.slots, singleSlot: "PIN2" });
  await cryptoki.C_Initialize();
  await single.C_Initialize();
  const next = (): Promise<number> => cryptoki.C_WaitForSlotEvent(CKF.DONT_BLOCK);
  expect(await cryptoki.C_GetSlotList(true)).toEqual([0, 1]);
  await expect(next()).rejects.toMatchObject(refusal("NO_EVENT"));
  readers.eject(READER);
  await settled();
  expect([await next(), await next()]).toEqual([0, 1]);
  readers.insert(READER, AGREEABLE);
  await settled();
  expect(await next()).toBe(0);
  const waiting = cryptoki.C_WaitForSlotEvent(0);
  await cryptoki.C_GetTokenInfo(0);
  expect(await waiting).toBe(1);
  await expect(next()).rejects.toMatchObject(refusal("NO_EVENT"));
  expect(await single.C_WaitForSlotEvent(CKF.DONT_BLOCK)).toBe(0);
  await expect(single.C_WaitForSlotEvent(CKF.DONT_BLOCK)).rejects.toMatchObject(refusal("NO_EVENT"));
});
