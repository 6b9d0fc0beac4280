import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, CryptokiError } from "../../src/cryptoki/index.ts";
import { testCard } from "../virtual/keys.ts";
import { PIN, READER, rig, settled } from "./rig.ts";

const unhandled: unknown[] = [];
const note = (reason: unknown): void => {
  unhandled.push(reason);
};
beforeAll(() => {
  process.on("unhandledRejection", note);
});
afterAll(() => {
  process.off("unhandledRejection", note);
});

/** One application's day: whatever fails, fails as a CryptokiError, and the next round begins anew. */
async function work(cryptoki: Cryptoki, rounds: number): Promise<{ signed: number; refused: string[] }> {
  const seen = { signed: 0, refused: new Array<string>() };
  for (let round = 0; round < rounds; round++) {
    try {
      const [slot] = await cryptoki.C_GetSlotList(true);
      if (slot === undefined) {
        await settled();
        continue;
      }
      await cryptoki.C_GetTokenInfo(slot);
      const session = await cryptoki.C_OpenSession(slot, CKF.SERIAL_SESSION);
      await cryptoki.C_Login(session, CKU.USER, PIN);
      await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(1) });
      const [key = 0] = await cryptoki.C_FindObjects(session, 1);
      await cryptoki.C_FindObjectsFinal(session);
      await cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
      await cryptoki.C_Sign(session, utf8("data"));
      seen.signed++;
      await cryptoki.C_CloseSession(session);
    } catch (error) {
      if (!(error instanceof CryptokiError)) throw error;
      seen.refused.push(error.name);
      await settled();
    }
  }
  return seen;
}

test("cards come and go under three applications that sign: only CryptokiErrors, nothing left behind", async () => {
  const cards = [await testCard(), await testCard()] as const;
  await using made = await rig(cards[0]);
  const others = [1, 2].map(() => new Cryptoki({ slots: made.cryptoki.slots }));
  for (const other of others) await other.C_Initialize();
  // A real card leaves time for others at each exchange.
  made.before = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const busy = new AbortController();
  const disturb = (async (): Promise<void> => {
    for (let turn = 0; !busy.signal.aborted; turn++) {
      for (let wait = 0; wait < turn % 5; wait++) await settled();
      made.readers.eject(READER);
      if (turn % 3 === 0) await settled();
      made.insert(turn % 2 === 0 ? cards[1] : cards[0]);
      await settled();
    }
  })();
  const results = await Promise.all([made.cryptoki, ...others].map((cryptoki) => work(cryptoki, 60)));
  busy.abort();
  await disturb;
  const refused = new Set(results.flatMap((result) => result.refused));
  const possible = ["DEVICE_REMOVED", "SESSION_HANDLE_INVALID", "TOKEN_NOT_PRESENT"].map((name) => `CKR_${name}`);
  expect([...refused].filter((name) => !possible.includes(name))).toEqual([]);
  expect(refused).toContain("CKR_DEVICE_REMOVED");
  expect(results.reduce((sum, { signed }) => sum + signed, 0)).toBeGreaterThan(0);

  // Undisturbed again, each application works as if nothing had been.
  await settled();
  for (const cryptoki of [made.cryptoki, ...others]) {
    const [slot = 0] = await cryptoki.C_GetSlotList(true);
    await cryptoki.C_CloseAllSessions(slot);
    expect(await work(cryptoki, 3)).toEqual({ signed: 3, refused: [] });
  }
  for (const other of others) await other.C_Finalize();
  expect(unhandled).toEqual([]);
}, 30_000);
