import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { CKA, CKF, CKM, CKO, CKU, Cryptoki, CryptokiError } from "../../src/cryptoki/index.ts";
import { MemoryReaders } from "../../src/pcsc/index.ts";
import { piv } from "../../src/piv/index.ts";
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
      seen.refused.push(error.code);
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

  // Undisturbed again, each application works as before.
  await settled();
  for (const cryptoki of [made.cryptoki, ...others]) {
    const [slot = 0] = await cryptoki.C_GetSlotList(true);
    await cryptoki.C_CloseAllSessions(slot);
    expect(await work(cryptoki, 3)).toEqual({ signed: 3, refused: [] });
  }
  for (const other of others) await other.C_Finalize();
  expect(unhandled).toEqual([]);
}, 30_000);

/** Readers with a card each, watched: how many commands are in cards at a time. */
class Watched {
  readonly readers = new MemoryReaders();
  readonly pcsc = this.readers.client();
  /** The most commands that any one card had at a time, and all of them together. */
  mostInOne = 0;
  mostInAll = 0;
  /** Runs within each exchange. */
  within: (reader: string) => Promise<void> = () => new Promise((resolve) => setImmediate(resolve));
  #inAll = 0;

  async plug(name: string): Promise<void> {
    const card = await testCard();
    let inOne = 0;
    this.readers.plug(name);
    this.readers.insert(name, {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: async (command) => {
        this.mostInOne = Math.max(this.mostInOne, ++inOne);
        this.mostInAll = Math.max(this.mostInAll, ++this.#inAll);
        try {
          await this.within(name);
          return await card.transmit(command);
        } finally {
          inOne--;
          this.#inAll--;
        }
      },
    });
  }

  /** Connections that are open to cards. */
  async connections(): Promise<number> {
    const states = await this.pcsc.readers();
    return states.reduce((sum, { sharing }) => sum + (sharing ?? 0), 0);
  }
}

const CARDS = ["A", "B", "C"];

/** One signature with the card authentication key, which needs no login. */
async function sign(cryptoki: Cryptoki, session: number): Promise<Uint8Array> {
  await cryptoki.C_FindObjectsInit(session, { [CKA.CLASS]: CKO.PRIVATE_KEY, [CKA.ID]: Uint8Array.of(4) });
  const [key = 0] = await cryptoki.C_FindObjects(session, 1);
  await cryptoki.C_FindObjectsFinal(session);
  await cryptoki.C_SignInit(session, { mechanism: CKM.ECDSA_SHA256 }, key);
  return cryptoki.C_Sign(session, utf8("data"));
}

test("cards work at the same time, and each card for one caller after the other", async () => {
  const watched = new Watched();
  for (const name of CARDS) await watched.plug(name);
  await using cryptoki = new Cryptoki({ pcsc: watched.pcsc, profiles: [piv] });
  await using other = new Cryptoki({ slots: cryptoki.slots });
  const applications = [cryptoki, other];
  for (const one of applications) await one.C_Initialize();
  const slots = await cryptoki.C_GetSlotList(true);
  const sessions = await Promise.all(
    applications.flatMap((one) =>
      slots.map(async (slot) => ({ one, session: await one.C_OpenSession(slot, CKF.SERIAL_SESSION) })),
    ),
  );
  // Each card holds its first command back until every card has one: if they worked in turn, none would ever go on.
  const arrived = new Set<string>();
  let allArrived: (() => void) | undefined;
  const together = new Promise<void>((resolve) => (allArrived = resolve));
  watched.within = (name): Promise<void> => {
    arrived.add(name);
    if (arrived.size === CARDS.length) allArrived?.();
    return together;
  };
  watched.mostInOne = 0;
  await Promise.all(sessions.map(({ one, session }) => sign(one, session)));
  expect(watched.mostInAll).toBe(CARDS.length);
  expect(watched.mostInOne).toBe(1);
});

test("a thousand sessions of four applications with three cards, while readers come and go: all is released at the end", async () => {
  const watched = new Watched();
  for (const name of CARDS) await watched.plug(name);
  const first = new Cryptoki({ pcsc: watched.pcsc, profiles: [piv] });
  const applications = [first, ...[1, 2, 3].map(() => new Cryptoki({ slots: first.slots }))];
  for (const one of applications) await one.C_Initialize();
  const slots = await first.C_GetSlotList(true);

  let events = 0;
  const waiting = applications.map(async (one) => {
    for (;;) {
      try {
        await one.C_WaitForSlotEvent(0);
        events++;
      } catch (error) {
        if (!(error instanceof CryptokiError)) throw error;
        return error.code;
      }
    }
  });
  const busy = new AbortController();
  const disturb = (async (): Promise<void> => {
    while (!busy.signal.aborted) {
      watched.readers.plug("D");
      await settled();
      watched.readers.unplug("D");
      await settled();
    }
  })();

  const work = async (index: number): Promise<number> => {
    const one = applications[index % applications.length] ?? first;
    const session = await one.C_OpenSession(slots[index % slots.length] ?? 0, CKF.SERIAL_SESSION | CKF.RW_SESSION);
    const [signature, random, hash] = await Promise.all([
      index % 10 === 0 ? sign(one, session) : new Uint8Array(64),
      one.C_GenerateRandom(session, 16),
      one.C_DigestInit(session, { mechanism: CKM.SHA256 }).then(() => one.C_Digest(session, utf8("data"))),
    ]);
    expect([signature.length, random.length, hash.length]).toEqual([64, 16, 32]);
    if (index % 2 === 0) await one.C_CloseSession(session);
    return session;
  };
  const sessions = await Promise.all(Array.from({ length: 1000 }, (_, index) => work(index)));
  busy.abort();
  await disturb;
  const perApplication = applications.map((_, index) => sessions.filter((_session, at) => at % 4 === index));
  for (const handles of perApplication) expect(new Set(handles).size).toBe(250);
  expect(watched.mostInOne).toBe(1);
  expect(events).toBeGreaterThan(0);

  const left = await Promise.all(
    applications.flatMap((one) => slots.map(async (slot) => (await one.C_GetTokenInfo(slot)).ulSessionCount)),
  );
  expect(left.reduce((sum, count) => sum + count, 0)).toBe(500);
  expect(await watched.connections()).toBe(CARDS.length);
  await Promise.all(applications.map((one) => one.C_Finalize()));
  expect(await Promise.all(waiting)).toEqual(applications.map(() => "CKR_CRYPTOKI_NOT_INITIALIZED"));
  expect(await watched.connections()).toBe(0);
  for (const one of applications) {
    await expect(one.C_GetSessionInfo(sessions[1] ?? 0)).rejects.toMatchObject({
      code: "CKR_CRYPTOKI_NOT_INITIALIZED",
    });
  }
  expect(unhandled).toEqual([]);
}, 60_000);
