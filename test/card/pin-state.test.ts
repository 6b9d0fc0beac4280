import { describe, expect, test } from "@jest/globals";
import { CardCancelledError, PinError, PinState } from "../../src/card/index.ts";

const wrong = new Error("wrong");
const refused = new Error("unknown command");
const yes = (): Promise<void> => Promise.resolve();
const no = (): Promise<void> => Promise.reject(wrong);

test("a PIN is verified once the card says yes, and until the card is reset", async () => {
  const card = { resets: 0 };
  const pin = new PinState(card);
  expect(pin.isVerified).toBe(false);
  await pin.present(yes);
  expect(pin.isVerified).toBe(true);
  card.resets++;
  expect(pin.isVerified).toBe(false);
});

test("it counts as no until the card says yes: a wrong PIN undoes an earlier right one", async () => {
  const pin = new PinState({ resets: 0 });
  await pin.present(yes);
  await pin.present(() => {
    expect(pin.isVerified).toBe(false);
    return yes();
  });
  await expect(pin.present(no)).rejects.toThrow("wrong");
  expect(pin.isVerified).toBe(false);
});

test("a command that the card does not know undoes nothing", async () => {
  const pin = new PinState({ resets: 0 });
  await pin.present(yes);
  await expect(
    pin.present(
      () => Promise.reject(refused),
      (error) => error === refused,
    ),
  ).rejects.toThrow("unknown command");
  expect(pin.isVerified).toBe(true);
});

test("a call that was cancelled before the card saw the PIN undoes nothing", async () => {
  const pin = new PinState({ resets: 0 });
  await pin.present(yes);
  const cancelled = (): Promise<void> => Promise.reject(new CardCancelledError("the caller has left"));
  await expect(pin.present(cancelled)).rejects.toThrow("the caller has left");
  await expect(pin.replace(cancelled)).rejects.toThrow("the caller has left");
  expect(pin.isVerified).toBe(true);
});

test("a new PIN that was set on another authority leaves the state as it was; a refusal undoes it", async () => {
  const pin = new PinState({ resets: 0 });
  await pin.replace(yes);
  expect(pin.isVerified).toBe(false);
  await pin.present(yes);
  await pin.replace(yes);
  expect(pin.isVerified).toBe(true);
  await expect(pin.replace(no)).rejects.toThrow("wrong");
  expect(pin.isVerified).toBe(false);
});

test("a logout forgets it", async () => {
  const pin = new PinState({ resets: 0 });
  await pin.present(yes);
  pin.forget();
  expect(pin.isVerified).toBe(false);
});

test("the maximum of the tries is what the card tells, and is never made up", () => {
  const pin = new PinState({ resets: 0 });
  expect(pin.status({ triesLeft: 3, verified: false })).toEqual({
    triesLeft: 3,
    verified: false,
    maxTries: undefined,
    countLow: false,
  });
  expect(pin.status({ triesLeft: 4, verified: false }, 5)).toMatchObject({ maxTries: 5, countLow: true });
  expect(pin.status({ triesLeft: 2, verified: false }, 2)).toMatchObject({ maxTries: 2, countLow: false });
  expect(pin.status({ triesLeft: undefined, verified: true })).toMatchObject({ maxTries: undefined, countLow: false });
});

test("fewer tries than were seen, or than nearly every issuer gives, tell of a wrong PIN", async () => {
  const pin = new PinState({ resets: 0 });
  expect(pin.status({ triesLeft: 2, verified: false })).toMatchObject({ countLow: true });
  expect(pin.status({ triesLeft: 5, verified: false })).toMatchObject({ countLow: false });
  expect(pin.status({ triesLeft: 4, verified: false })).toMatchObject({ countLow: true });
  const other = new PinState({ resets: 0 });
  await expect(other.present(() => Promise.reject(new PinError("incorrect", "wrong", 4)))).rejects.toThrow("wrong");
  expect(other.status({ triesLeft: 4, verified: false })).toMatchObject({ countLow: true });
});

describe("after a refusal", () => {
  test("the card's no ends what its yes has proved", async () => {
    const pin = new PinState({ resets: 0 });
    await pin.present(yes);
    pin.status({ triesLeft: undefined, verified: true });
    expect(pin.hasAffirmed).toBe(true);
    expect(pin.outlasts(false)).toBe(false);
    expect(pin.isVerified).toBe(false);
  });

  test("the card's yes keeps it, however often", async () => {
    const pin = new PinState({ resets: 0 });
    await pin.present(yes);
    for (let times = 0; times < 3; times++) expect(pin.outlasts(true)).toBe(true);
    expect(pin.isVerified).toBe(true);
  });

  test.each([false, undefined])(
    "a card that never said yes is believed at the second refusal, if it says %s",
    async (no) => {
      const pin = new PinState({ resets: 0 });
      await pin.present(yes);
      expect(pin.outlasts(no)).toBe(true);
      expect(pin.isVerified).toBe(true);
      pin.served();
      expect(pin.outlasts(no)).toBe(true);
      expect(pin.outlasts(no)).toBe(false);
      expect(pin.isVerified).toBe(false);
    },
  );

  test("a card that said yes and does not tell now is believed at the second", async () => {
    const pin = new PinState({ resets: 0 });
    await pin.present(yes);
    expect(pin.outlasts(true)).toBe(true);
    expect(pin.outlasts(undefined)).toBe(true);
    expect(pin.outlasts(undefined)).toBe(false);
  });

  test("a yes of an earlier login proves nothing", async () => {
    const pin = new PinState({ resets: 0 });
    pin.status({ triesLeft: undefined, verified: true });
    expect(pin.hasAffirmed).toBe(false);
    await pin.present(yes);
    pin.outlasts(true);
    await pin.present(yes);
    expect(pin.hasAffirmed).toBe(false);
    expect(pin.outlasts(false)).toBe(true);
  });
});

describe("the card's report", () => {
  const told = (triesLeft: number | undefined): { triesLeft: number | undefined; verified: boolean } => ({
    triesLeft,
    verified: false,
  });

  async function countAsked(
    card: { resets: number; transaction: number; effects: number },
    tries: number | undefined,
    after: () => void,
  ): Promise<number> {
    const pin = new PinState(card);
    let asked = 0;
    const report = (): ReturnType<PinState["reported"]> =>
      pin.reported(() => {
        asked++;
        return Promise.resolve(told(tries));
      });
    expect(await report()).toEqual(told(tries));
    after();
    expect(await report()).toEqual(told(tries));
    return asked;
  }

  const counts = (): { resets: number; transaction: number; effects: number } => ({
    resets: 0,
    transaction: 1,
    effects: 0,
  });

  test("is asked for once in a transaction", async () => {
    expect(await countAsked(counts(), 3, () => undefined)).toBe(1);
  });

  test.each(["transaction", "effects"] as const)("is asked for again if the count %s has changed", async (name) => {
    const card = counts();
    expect(await countAsked(card, 3, () => card[name]++)).toBe(2);
  });

  test("that is none is not remembered: it may be an accident", async () => {
    expect(await countAsked(counts(), undefined, () => undefined)).toBe(2);
  });
});
