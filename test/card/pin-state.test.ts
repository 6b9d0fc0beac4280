import { expect, test } from "@jest/globals";
import { CardCancelledError, PinState } from "../../src/card/index.ts";

const wrong = new Error("wrong");
const refused = new Error("unknown command");
const yes = (): Promise<void> => Promise.resolve();
const no = (): Promise<void> => Promise.reject(wrong);

test("a PIN is verified once the card says yes, and until the card is reset", async () => {
  const card = { resets: 0 };
  const pin = new PinState(card, 3);
  expect(pin.isVerified).toBe(false);
  await pin.present(yes);
  expect(pin.isVerified).toBe(true);
  card.resets++;
  expect(pin.isVerified).toBe(false);
});

test("it counts as no until the card says yes: a wrong PIN undoes an earlier right one", async () => {
  const pin = new PinState({ resets: 0 }, 3);
  await pin.present(yes);
  await pin.present(() => {
    expect(pin.isVerified).toBe(false);
    return yes();
  });
  await expect(pin.present(no)).rejects.toThrow("wrong");
  expect(pin.isVerified).toBe(false);
});

test("a command that the card does not know undoes nothing", async () => {
  const pin = new PinState({ resets: 0 }, 3);
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
  const pin = new PinState({ resets: 0 }, 3);
  await pin.present(yes);
  const cancelled = (): Promise<void> => Promise.reject(new CardCancelledError("the caller has left"));
  await expect(pin.present(cancelled)).rejects.toThrow("the caller has left");
  await expect(pin.replace(cancelled)).rejects.toThrow("the caller has left");
  expect(pin.isVerified).toBe(true);
});

test("a new PIN that was set on another authority leaves the state as it was; a refusal undoes it", async () => {
  const pin = new PinState({ resets: 0 }, 3);
  await pin.replace(yes);
  expect(pin.isVerified).toBe(false);
  await pin.present(yes);
  await pin.replace(yes);
  expect(pin.isVerified).toBe(true);
  await expect(pin.replace(no)).rejects.toThrow("wrong");
  expect(pin.isVerified).toBe(false);
});

test("a logout forgets it", async () => {
  const pin = new PinState({ resets: 0 }, 3);
  await pin.present(yes);
  pin.forget();
  expect(pin.isVerified).toBe(false);
});

test("the most tries that were seen are the maximum", () => {
  const pin = new PinState({ resets: 0 }, 3);
  expect(pin.status({ triesLeft: 2, verified: false })).toEqual({ triesLeft: 2, verified: false, maxTries: 3 });
  expect(pin.status({ triesLeft: 5, verified: false })).toMatchObject({ maxTries: 5 });
  expect(pin.status({ triesLeft: undefined, verified: true })).toMatchObject({ maxTries: 5 });
});
