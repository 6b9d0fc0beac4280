import { expect, test } from "@jest/globals";
import { type Pin, type PinSource, rememberPin } from "../../src/tokens/index.ts";
import { opened, PIN } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");
const WRONG = "000000";

test("ten uses at once of a key that wants the PIN each time spend one try with a wrong PIN", async () => {
  await using rig = await opened(() => WRONG);
  await rig.token.login(PIN);
  const key = await rig.token.keys.get({ reference: "9c" });
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => key.sign(DATA)));
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { name: "TokenError", code: "CKR_PIN_INCORRECT" } });
  }
  expect(rig.requests).toHaveLength(1);
  await expect(rig.token.login(WRONG)).resolves.toBeUndefined();
  await rig.token.logout();
  await expect(rig.token.login(WRONG)).rejects.toMatchObject({ triesLeft: 1 });
});

test("ten calls of login at once spend one try with a wrong PIN", async () => {
  await using rig = await opened();
  const outcomes = await Promise.allSettled(Array.from({ length: 10 }, () => rig.token.login(WRONG)));
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "CKR_PIN_INCORRECT", triesLeft: 2 } });
  }
  await rig.token.login(PIN);
});

test("a remembered PIN that was wrong for a use is not given again after login", async () => {
  const pins = [WRONG, PIN];
  using remembered = rememberPin(() => pins.shift() ?? WRONG, { milliseconds: 60_000 });
  await using rig = await opened(remembered);
  await rig.token.login(PIN);
  const key = await rig.token.keys.get({ reference: "9c" });
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT" });
  await rig.token.login();
  expect((await key.sign(DATA)).length).toBe(96);
  expect(rig.requests.map(({ purpose, again }) => [purpose, again])).toEqual([
    ["use", false],
    ["use", true],
  ]);
});

test("a user who declines to give the PIN is asked once for all operations that wait", async () => {
  const declined = new Error("the user closed the window");
  let asked = 0;
  await using rig = await opened(async () => {
    asked++;
    await new Promise((resolve) => setImmediate(resolve));
    throw declined;
  });
  const key = await rig.token.keys.get({ reference: "9a" });
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => key.sign(DATA)));
  expect(new Set(outcomes.map((outcome) => outcome.status === "rejected" && (outcome.reason as unknown)))).toEqual(
    new Set([declined]),
  );
  expect(asked).toBe(1);
  // It is no wrong PIN: a later operation asks again.
  await expect(key.sign(DATA)).rejects.toBe(declined);
  expect(asked).toBe(2);
});

test("an abort ends the wait for a source that does not answer, and a late PIN is wiped", async () => {
  const pin = new TextEncoder().encode(PIN);
  let give: (pin: Pin) => void = () => undefined;
  let isAsked: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    isAsked = resolve;
  });
  const answers: PinSource[] = [
    () => {
      isAsked();
      return new Promise((resolve) => {
        give = resolve;
      });
    },
  ];
  await using rig = await opened((request) => (answers.shift() ?? (() => PIN))(request));
  const key = await rig.token.keys.get({ reference: "9a" });
  const controller = new AbortController();
  const leaving = key.sign(DATA, { signal: controller.signal });
  await asked;
  const staying = key.sign(DATA);
  controller.abort(new Error("enough"));
  await expect(leaving).rejects.toThrow("enough");
  expect(rig.requests[0]?.signal?.aborted).toBe(true);
  expect((await staying).length).toBe(256);
  give(pin);
  await new Promise((resolve) => setImmediate(resolve));
  expect([...pin]).toEqual([0, 0, 0, 0, 0, 0]);
});

test.each(["9a", "9c"])(
  "key %s: a card that goes while the PIN is typed ends the operation and the question",
  async (reference) => {
    let isAsked: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    await using rig = await opened(() => {
      isAsked();
      return new Promise(() => undefined);
    });
    const key = await rig.token.keys.get({ reference });
    const signing = key.sign(DATA);
    await asked;
    rig.readers.eject("Reader");
    await expect(signing).rejects.toMatchObject({ name: "TokenError", code: "TOKEN_GONE" });
    expect(rig.requests[0]?.signal?.reason).toMatchObject({ code: "TOKEN_GONE" });
  },
);

test("operations that wait for a PIN hold up nothing else, and the source may use the token", async () => {
  let give: (pin: Pin) => void = () => undefined;
  const typed = new Promise<Pin>((resolve) => {
    give = resolve;
  });
  let subject: Promise<string> | undefined;
  await using rig = await opened(() => {
    subject = rig.token.certificates.get({ reference: "9a" }).then((certificate) => certificate.subject);
    return typed;
  });
  const key = await rig.token.keys.get({ reference: "9a" });
  const free = await rig.token.keys.get({ reference: "9e" });
  const waiting = Promise.all(Array.from({ length: 12 }, () => key.sign(DATA)));
  expect((await free.sign(DATA)).length).toBe(64);
  expect(await subject).toMatch(/CN=/u);
  give(PIN);
  expect(await waiting).toHaveLength(12);
});

test.each([[123456], [undefined], [{}]])("a PIN that is %p is refused, and no try is spent", async (pin) => {
  await using rig = await opened(() => pin as unknown as string);
  const key = await rig.token.keys.get({ reference: "9a" });
  await expect(key.sign(DATA)).rejects.toMatchObject({
    name: "TokenError",
    code: "BAD_INPUT",
    message: expect.not.stringMatching(/123456/u),
  });
  await expect(rig.token.login((pin ?? 1) as unknown as string)).rejects.toMatchObject({ code: "BAD_INPUT" });
  expect(rig.exchanges.filter((exchange) => exchange.startsWith("002000"))).toEqual([]);
});

test("PINs given as bytes are wiped by login, changePin and unblockPin, also if they are refused", async () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  await using rig = await opened();
  const given: Uint8Array[] = [];
  const once = (text: string): Uint8Array => {
    const pin = bytes(text);
    given.push(pin);
    return pin;
  };
  const { token } = rig;
  await token.login(once(PIN));
  await token.changePin({ old: once(PIN), new: once("112233") });
  await token.login(once("112233"));
  const refused = token.changePin({ old: once("112233"), new: once("1") });
  await expect(refused).rejects.toMatchObject({ code: "CKR_PIN_LEN_RANGE" });
  const wrong = token.unblockPin({ puk: once("00000000"), new: once("112233") });
  await expect(wrong).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT" });
  expect(given.every((pin) => pin.every((byte) => byte === 0))).toBe(true);
});

test("a PIN that was unblocked is asked for again without another login call", async () => {
  await using rig = await opened(() => PIN);
  for (let tries = 0; tries < 3; tries++) await rig.token.login(WRONG).catch(() => undefined);
  const key = await rig.token.keys.get({ reference: "9a" });
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "CKR_PIN_LOCKED" });
  await rig.token.unblockPin({ puk: "87654321", new: PIN });
  expect((await key.sign(DATA)).length).toBe(256);
});
