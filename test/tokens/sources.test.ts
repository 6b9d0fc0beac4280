import { expect, test } from "@jest/globals";
import { MemoryReaders, profiles } from "../../src/index.ts";
import { openTokens, type Token, type TokenChange, type TokenSource } from "../../src/tokens/index.ts";
import { makeCard, opened, PIN } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");

async function next(changes: AsyncGenerator<TokenChange>): Promise<TokenChange> {
  const { value } = (await changes.next()) as { value: TokenChange };
  return value;
}

function isRemoved({ removed }: Token): Promise<unknown> {
  return new Promise((resolve) => {
    if (removed.aborted) resolve(undefined);
    removed.addEventListener("abort", resolve);
  });
}

test("an abort ends the wait for a token of its own caller alone", async () => {
  await using cards = await openTokens({ cards: [await makeCard()] });
  const controller = new AbortController();
  const leaving = cards.token(undefined, { signal: controller.signal });
  const staying = cards.token();
  controller.abort(new Error("enough"));
  await expect(leaving).rejects.toThrow("enough");
  expect((await (await staying).info()).model).toBe("PIV");
});

test("a watcher with a query gets the tokens that fit, and their removal alone", async () => {
  const readers = new MemoryReaders();
  const pcsc = readers.client();
  for (const reader of ["left", "right"]) {
    readers.plug(reader);
    readers.insert(reader, await makeCard());
  }
  await using cards = await openTokens({ pcsc, profiles });
  const changes = cards.changes({ query: { reader: "right" } });
  const inserted = await next(changes);
  expect(inserted).toMatchObject({ type: "inserted", initial: true });
  const left = await cards.token({ reader: "left" });
  readers.eject("left");
  await isRemoved(left);
  readers.eject("right");
  const removed = await next(changes);
  expect(removed.type === "removed" && inserted.type === "inserted" && removed.token === inserted.token).toBe(true);
  await changes.return(undefined);
  await cards.close();
  await pcsc.close();
});

test("one watcher that breaks off, and a slow one, take nothing from another", async () => {
  await using rig = await opened();
  const [quick, slow] = [rig.cards.changes(), rig.cards.changes()];
  expect(await next(slow)).toMatchObject({ type: "inserted" });
  for await (const change of rig.cards.changes()) {
    expect(change.type).toBe("inserted");
    break;
  }
  expect(await next(quick)).toMatchObject({ type: "inserted", token: rig.token });
  for (let times = 0; times < 3; times++) {
    rig.readers.eject("Reader");
    expect(await next(quick)).toMatchObject({ type: "removed" });
    await rig.insert();
    expect(await next(quick)).toMatchObject({ type: "inserted", initial: false });
  }
  const last = await rig.cards.token();
  expect(await next(slow)).toMatchObject({ type: "removed", token: rig.token });
  const inserted = await next(slow);
  expect(inserted.type === "inserted" && inserted.token === last).toBe(true);
});

test("a card that does not answer leaves the others usable", async () => {
  const readers = new MemoryReaders();
  const pcsc = readers.client();
  const card = await makeCard();
  const broken = {
    atr: card.atr,
    reset: (): void => undefined,
    transmit: (): Promise<Uint8Array> => Promise.resolve(Uint8Array.of(0x6f, 0x00)),
  };
  readers.plug("broken");
  readers.insert("broken", broken);
  readers.plug("sound");
  readers.insert("sound", card);
  await using cards = await openTokens({ pcsc, profiles });
  const token = await cards.token();
  expect((await token.info()).reader).toMatch(/sound/u);
  const types: string[] = [];
  for await (const change of cards.changes()) if (types.push(change.type) === 2) break;
  expect(types.sort()).toEqual(["inserted", "unrecognised"]);
  readers.eject("sound");
  await isRemoved(token);
  await expect(cards.token()).rejects.toMatchObject({ name: "TokenError", code: "CKR_DEVICE_ERROR" });
  await cards.close();
  await pcsc.close();
});

test("close while calls are under way ends them, and a second close waits for the first", async () => {
  const rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  await rig.token.login(PIN);
  const changes = rig.cards.changes();
  await next(changes);
  const waiting = changes.next();
  const outcomes = Promise.allSettled(Array.from({ length: 30 }, () => key.sign(DATA)));
  const closed: number[] = [];
  const first = rig.cards.close().then(() => closed.push(1));
  await rig.cards.close();
  await first;
  expect(closed).toEqual([1]);
  for (const outcome of await outcomes) {
    if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ name: "TokenError", code: "TOKEN_GONE" });
  }
  expect(await waiting).toMatchObject({ value: { type: "removed" } });
  expect((await changes.next()).done).toBe(true);
  for (const call of [() => rig.cards.token(), () => rig.cards.changes().next(), () => key.sign(DATA)]) {
    await expect(call()).rejects.toMatchObject({ code: "TOKEN_GONE" });
  }
  await rig[Symbol.asyncDispose]();
});

test("two sources on one connection to the readers: closing one, twice, leaves the other at work", async () => {
  await using rig = await opened();
  const pcsc = rig.readers.client();
  const [one, two] = [await openTokens({ pcsc, profiles, pin: () => PIN }), await openTokens({ pcsc, profiles })];
  const token = await one.token();
  await token[Symbol.asyncDispose]();
  await token[Symbol.asyncDispose]();
  await expect(token.info()).rejects.toMatchObject({ code: "TOKEN_GONE", message: expect.stringMatching(/closed/u) });
  expect(await one.token()).not.toBe(token);
  await one.close();
  await one.close();
  const key = await (await two.token()).keys.get({ reference: "9e" });
  expect((await key.sign(DATA)).length).toBe(64);
  await two.close();
  await pcsc.close();
});

async function sessionCount(cards: TokenSource): Promise<number | undefined> {
  const token = await cards.token();
  return (await cards.cryptoki.C_GetTokenInfo(token.slot)).ulSessionCount;
}

test("a source that is closed leaves no session in a module of another owner, also if a token was just being opened", async () => {
  await using rig = await opened();
  const { cryptoki } = rig.cards;
  const before = await sessionCount(rig.cards);
  const cards = await openTokens({ cryptoki });
  const [opening] = await Promise.allSettled([cards.token(), cards.close()]);
  expect(opening).toMatchObject({ reason: { code: "TOKEN_GONE" } });
  expect(await sessionCount(rig.cards)).toBe(before);
});

test("a hundred signatures at once use five sessions at most", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  const signatures = await Promise.all(Array.from({ length: 100 }, () => key.sign(DATA)));
  expect(new Set(signatures.map((signature) => Buffer.from(signature).toString("hex"))).size).toBe(1);
  expect(rig.requests).toHaveLength(1);
  expect(await sessionCount(rig.cards)).toBeLessThanOrEqual(5);
});

test("a wrong handle in the program's own session does not end the token, and what it left is not found later", async () => {
  await using rig = await opened();
  const { token } = rig;
  const wrong = token.withSession((_, cryptoki) => cryptoki.C_GetSessionInfo(999_999));
  await expect(wrong).rejects.toMatchObject({ code: "CKR_SESSION_HANDLE_INVALID" });
  expect(token.removed.aborted).toBe(false);
  await token.withSession((session, cryptoki) => cryptoki.C_FindObjectsInit(session, {}));
  expect((await token.certificates.get({ reference: "9a" })).id).toBe("01");
  const within = (depth: number): Promise<number> =>
    token.withSession(async () => (depth === 0 ? (await token.random(4)).length : within(depth - 1)));
  expect(await within(8)).toBe(4);
});

test("arguments of wrong types are BAD_INPUT", async () => {
  const wrong = [{ pin: PIN }, { server: undefined, cryptoki: undefined, cards: [], pin: 1 }] as unknown[];
  for (const options of wrong) {
    await expect(openTokens(options as Record<string, never>)).rejects.toMatchObject({
      code: "BAD_INPUT",
      message: expect.not.stringMatching(/654321/u),
    });
  }
  await using rig = await opened();
  for (const query of [null, 5, { serial: "1" }] as unknown[]) {
    await expect(rig.cards.token(query as string)).rejects.toMatchObject({ code: "BAD_INPUT" });
  }
  const { label } = await rig.token.info();
  const lacking = { label, serialNumber: undefined } as unknown as { label: string };
  expect(await rig.cards.token(lacking)).toBe(rig.token);
});
