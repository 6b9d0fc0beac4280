import { expect, test } from "@jest/globals";
import { MemoryReaders, profiles } from "../../src/index.ts";
import { openTokens, type TouchRequest } from "../../src/tokens/index.ts";
import { pivCard, testKey } from "../virtual/keys.ts";
import { PIN } from "./opened.ts";

const DATA = Buffer.from("a letter to be signed");

/** A card whose private-key operations wait until `answer` resolves. */
async function opened(yubico: boolean, answer: () => Promise<void>) {
  const card = await pivCard({
    yubico,
    extended: true,
    pin: PIN,
    keys: {
      "9a": { privateKey: testKey("p-256", "9a"), ...(yubico && { touchPolicy: "always" as const }) },
      "9c": { privateKey: testKey("p-256", "9c"), ...(yubico && { touchPolicy: "never" as const }) },
      "9d": { privateKey: testKey("p-256", "9d"), ...(yubico && { touchPolicy: "cached" as const }) },
      "9e": null,
    },
  });
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", {
    atr: card.atr,
    reset: () => {
      card.reset();
    },
    transmit: async (command) => {
      // GENERAL AUTHENTICATE with a key.
      if (command[1] === 0x87 && command[3] !== 0x9b) await answer();
      return card.transmit(command);
    },
  });
  const pcsc = readers.client();
  const touches: TouchRequest[] = [];
  let hear = (): void => undefined;
  const told = new Promise<void>((resolve) => {
    hear = resolve;
  });
  const cards = await openTokens({
    pcsc,
    profiles,
    pin: () => PIN,
    onTouch: (touch) => {
      touches.push(touch);
      hear();
      throw new Error("of no account");
    },
  });
  const end = async (): Promise<void> => {
    await cards.close();
    await pcsc.close();
  };
  return { token: await cards.token(), touches, told, [Symbol.asyncDispose]: end };
}

test("a key that wants a touch each time is told before the card computes, and done afterwards", async () => {
  let seen: TouchRequest[] = [];
  await using rig = await opened(true, () => {
    seen = rig.touches.filter(({ done }) => !done.aborted);
    return Promise.resolve();
  });
  const key = await rig.token.keys.get({ reference: "9a" });
  for (let times = 1; times <= 2; times++) {
    await key.sign(DATA);
    expect(rig.touches).toHaveLength(times);
    expect(seen).toHaveLength(1);
    expect(rig.touches.at(-1)).toMatchObject({ certain: true, key: { reference: "9a" }, done: { aborted: true } });
  }
  expect((await rig.touches[0]?.token())?.model).toMatch(/PIV/u);
});

test("a key that wants none is not told, and neither are fast answers of others", async () => {
  await using rig = await opened(true, () => Promise.resolve());
  await (await rig.token.keys.get({ reference: "9c" })).sign(DATA);
  const cached = await rig.token.keys.get({ reference: "9d" });
  await cached.deriveSecret(await cached.publicKey());
  expect(rig.touches).toEqual([]);
});

test("where the card does not say, a slow answer is told as a perhaps", async () => {
  await using rig = await opened(false, () => rig.told);
  const key = await rig.token.keys.get({ reference: "9a" });
  await key.sign(DATA);
  expect(rig.touches.map(({ certain, done }) => [certain, done.aborted])).toEqual([[false, true]]);
});

test("onTouch that is no function is refused", async () => {
  const wrong = { cards: [], onTouch: "yes" } as unknown as Parameters<typeof openTokens>[0];
  await expect(openTokens(wrong)).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: expect.stringContaining("onTouch"),
  });
});
