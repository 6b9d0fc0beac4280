import { beforeEach, describe, expect, jest, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { authenticateUse, Card, type CardExchange, type CardOptions } from "../../src/card/index.ts";
import { type CardConnection, type InProcessCard, MemoryReaders, PcscError } from "../../src/pcsc/index.ts";

const READER = "Memory Reader";
const send =
  (p2: number) =>
  ({ send }: CardExchange): Promise<number> =>
    send({ cla: 0x00, ins: 0xca, p1: 0x01, p2 }).then(({ sw }) => sw);

let readers: MemoryReaders;
let commands: string[];
let failure: PcscError | undefined;
const inReader: InProcessCard = {
  atr: fromHex("3b80800101"),
  reset: () => undefined,
  transmit: (command) => {
    commands.push(toHex(command).slice(4));
    const error = failure;
    failure = undefined;
    return error ? Promise.reject(error) : Promise.resolve(fromHex("9000"));
  },
};
const connect = (): Promise<CardConnection> => readers.client({ patience: 50 }).connect(READER);
const cardWith = async (options: CardOptions = {}): Promise<Card> => new Card(await connect(), options);

beforeEach(() => {
  commands = [];
  failure = undefined;
  readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, inReader);
});

describe("a turn that is held", () => {
  test("keeps other callers and other programs waiting until it is given back", async () => {
    await using card = await cardWith({ linger: 0 });
    const other = await connect();
    const hold = await card.holdTurn();
    expect(card.isHeld).toBe(true);
    await hold.exclusively(send(1));
    const waiting = card.exclusively(send(2));
    await expect(other.transmit(fromHex("00ca0109"))).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    await hold.exclusively(send(3));
    await hold[Symbol.asyncDispose]();
    await waiting;
    expect(commands).toEqual(["0101", "0103", "0102"]);
    expect(card.isHeld).toBe(false);
    await other.transmit(fromHex("00ca0104"));
    await other.disconnect();
  });

  test("is one transaction from its beginning to its end", async () => {
    await using card = await cardWith({ linger: 0 });
    const hold = await card.holdTurn();
    const { transaction } = card;
    await hold.exclusively(send(1));
    await hold.exclusively(send(2));
    expect(card.transaction).toBe(transaction);
    await hold[Symbol.asyncDispose]();
    await card.exclusively(send(3));
    expect(card.transaction).toBe(transaction + 1);
  });

  test("ends by itself after the time of the option without an exchange, and then refuses work", async () => {
    await using card = await cardWith({ hold: 5 });
    const hold = await card.holdTurn();
    await card.exclusively(send(1));
    expect(hold.ended).toBe(true);
    await expect(hold.exclusively(send(2))).rejects.toMatchObject({
      name: "LoginRequiredError",
      message: expect.stringContaining("give its PIN once more") as unknown,
    });
    expect(commands).toEqual(["0101"]);
  });

  test("has four seconds by default, counted anew from each exchange", async () => {
    await using card = await cardWith();
    jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate", "performance"] });
    try {
      const hold = await card.holdTurn();
      jest.advanceTimersByTime(3_999);
      expect(hold.ended).toBe(false);
      await hold.exclusively(send(1));
      jest.advanceTimersByTime(3_999);
      expect(hold.ended).toBe(false);
      jest.advanceTimersByTime(1);
      expect(hold.ended).toBe(true);
    } finally {
      jest.useRealTimers();
    }
  });

  test("waits in the queue like any call, and an abort leaves the queue", async () => {
    await using card = await cardWith();
    const first = await card.holdTurn();
    const stop = new AbortController();
    const second = card.holdTurn(stop.signal);
    stop.abort();
    await expect(second).rejects.toMatchObject({ name: "CardCancelledError" });
    await first[Symbol.asyncDispose]();
    expect(await card.exclusively(send(1))).toBe(0x9000);
  });

  test("ends with a reset of the card, because what was verified is gone", async () => {
    await using card = await cardWith();
    const hold = await card.holdTurn();
    failure = new PcscError("SCARD_W_RESET_CARD");
    await expect(hold.exclusively(send(1))).rejects.toMatchObject({ name: "CardResetError" });
    expect(hold.ended).toBe(true);
    expect(await card.exclusively(send(2))).toBe(0x9000);
  });

  test("does not keep the card from being closed", async () => {
    const card = await cardWith();
    const hold = await card.holdTurn();
    await card[Symbol.asyncDispose]();
    expect(hold.ended).toBe(true);
  });
});

describe("a PIN for one use of a key", () => {
  test("keeps the card from its verification to the use, and not beyond", async () => {
    await using card = await cardWith();
    const held = await authenticateUse(card, {
      verify: async (hold) => {
        await hold.exclusively(send(1));
      },
      use: async (hold) => Uint8Array.of((await hold.exclusively(send(3))) >> 8),
    });
    const waiting = card.exclusively(send(2));
    expect(await held.use("ecdsa", new Uint8Array())).toEqual(Uint8Array.of(0x90));
    await waiting;
    expect(commands).toEqual(["0101", "0103", "0102"]);
    expect(held.ended).toBe(true);
  });

  test("that is refused keeps nothing", async () => {
    await using card = await cardWith();
    const refused = authenticateUse(card, {
      verify: () => Promise.reject(new Error("wrong PIN")),
      use: () => Promise.reject(new Error("not used")),
    });
    await expect(refused).rejects.toThrow("wrong PIN");
    expect(card.isHeld).toBe(false);
    expect(await card.exclusively(send(1))).toBe(0x9000);
  });
});
