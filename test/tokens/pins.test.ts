import { expect, test } from "@jest/globals";
import { rememberPin } from "../../src/tokens/index.ts";
import { opened, PIN, PUK } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");

test("twenty operations that wait for the PIN ask once, and a wrong PIN spends one try", async () => {
  await using rig = await opened(() => "000000");
  const key = await rig.token.keys.get({ reference: "9a" });
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => key.sign(DATA)));
  expect(rig.requests).toHaveLength(1);
  for (const outcome of outcomes) {
    expect(outcome).toMatchObject({ status: "rejected", reason: { code: "CKR_PIN_INCORRECT", triesLeft: 2 } });
  }
  // The source is not asked again before the program calls login().
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT", triesLeft: 2 });
  expect(rig.requests).toHaveLength(1);
  await rig.token.login(PIN);
  expect((await key.sign(DATA)).length).toBe(256);
  expect(rig.requests).toHaveLength(1);
});

test("a request tells what the PIN is for, and asks the token only if it is asked", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9a" });
  await key.sign(DATA);
  const [request] = rig.requests;
  expect(request).toMatchObject({ purpose: "login", again: false, key: { id: "01", reference: "9a" } });
  expect(await request?.pinState()).toMatchObject({ status: "usable", entry: "host", minLength: 6, maxLength: 8 });
  expect((await request?.token())?.uri).toMatch(/^pkcs11:token=PIV.*;model=PIV$/u);
});

test("a key that wants the PIN each time asks for it each time; the login's PIN serves the use that caused it", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9c" });
  for (let times = 0; times < 10; times++) await key.sign(DATA);
  expect(rig.requests.map(({ purpose }) => purpose)).toEqual(["login", ...Array.from({ length: 9 }, () => "use")]);
});

test("rememberPin asks once for ten signatures, again after a refusal, and forgets by its disposal", async () => {
  let asked = 0;
  using remembered = rememberPin(
    () => {
      asked++;
      return PIN;
    },
    { milliseconds: 60_000 },
  );
  await using rig = await opened(remembered);
  const key = await rig.token.keys.get({ reference: "9c" });
  for (let times = 0; times < 10; times++) await key.sign(DATA);
  expect(asked).toBe(1);
  remembered[Symbol.dispose]();
  await key.sign(DATA);
  expect(asked).toBe(2);
});

test("a wrong PIN that was remembered is not given twice", async () => {
  const pins = ["000000", PIN];
  using remembered = rememberPin(() => pins.shift() ?? "999999", { milliseconds: 60_000 });
  await using rig = await opened(remembered);
  const key = await rig.token.keys.get({ reference: "9c" });
  await expect(key.sign(DATA)).rejects.toMatchObject({ code: "CKR_PIN_INCORRECT", triesLeft: 2 });
  await rig.token.login();
  await key.sign(DATA);
  expect(rig.requests.map(({ again }) => again)).toEqual([false, true, false]);
});

test("bytes of a PIN are wiped after their use", async () => {
  const pin = new TextEncoder().encode(PIN);
  await using rig = await opened(() => pin);
  await (await rig.token.keys.get({ reference: "9a" })).sign(DATA);
  expect([...pin]).toEqual([0, 0, 0, 0, 0, 0]);
});

test("an abort ends the wait for the PIN of its own caller alone", async () => {
  let give: (pin: string) => void = () => undefined;
  const typed = new Promise<string>((resolve) => {
    give = resolve;
  });
  await using rig = await opened(() => typed);
  const key = await rig.token.keys.get({ reference: "9e" });
  const other = await rig.token.keys.get({ reference: "9a" });
  const controller = new AbortController();
  const given = other.sign(DATA);
  const leaving = other.sign(DATA, { signal: controller.signal });
  controller.abort(new Error("enough"));
  await expect(leaving).rejects.toThrow("enough");
  // A key that wants no PIN does not wait.
  expect((await key.sign(DATA)).length).toBe(64);
  give(PIN);
  expect((await given).length).toBe(256);
  expect(rig.requests).toHaveLength(1);
});

test("a PIN is changed, blocked and unblocked, and its state tells", async () => {
  await using rig = await opened();
  await rig.token.changePin({ old: PIN, new: "112233" });
  await rig.token.logout();
  for (let tries = 0; tries < 3; tries++) {
    await expect(rig.token.login(PIN)).rejects.toMatchObject({ triesLeft: 2 - tries });
  }
  expect(await rig.token.pinState()).toMatchObject({ status: "locked" });
  await expect(rig.token.login("112233")).rejects.toMatchObject({ code: "CKR_PIN_LOCKED" });
  await rig.token.unblockPin({ puk: PUK, new: PIN });
  await rig.token.login(PIN);
  expect(await rig.token.pinState()).toMatchObject({ status: "usable" });
});
