import { beforeEach, describe, expect, jest, test } from "@jest/globals";
import { setImmediate } from "node:timers/promises";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import {
  type AuthenticatedUse,
  authenticateUse,
  Card,
  type CardExchange,
  type CardOptions,
  PinError,
} from "../../src/card/index.ts";
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
    const second = card.holdTurn({ signal: stop.signal });
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
      pin: null,
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
      pin: fromHex("313233"),
      verify: () => Promise.reject(new Error("wrong PIN")),
      use: () => Promise.reject(new Error("not used")),
    });
    await expect(refused).rejects.toThrow("wrong PIN");
    expect(card.isHeld).toBe(false);
    expect(await card.exclusively(send(1))).toBe(0x9000);
  });

  describe("of a holder that is slow, or waits for others itself", () => {
    const verified: string[] = [];
    let pin: Uint8Array;
    const authenticated = (card: Card, given: Uint8Array | null = pin): Promise<AuthenticatedUse> =>
      authenticateUse(card, {
        pin: given,
        verify: async (hold, again) => {
          await hold.exclusively(send(1));
          verified.push(toHex(again ?? new Uint8Array()));
        },
        use: async (hold) => Uint8Array.of((await hold.exclusively(send(3))) >> 8),
      });

    beforeEach(() => {
      verified.length = 0;
      pin = fromHex("313233");
    });

    test("is verified again, right before the use, after others went first; no other program comes in", async () => {
      await using card = await cardWith({ linger: 0 });
      const other = await connect();
      const held = await authenticated(card);
      const { transaction } = card;
      // The caller's copy is wiped as soon as the PIN was verified.
      pin.fill(0);
      await card.exclusively(send(2));
      await card.exclusively(send(4));
      expect(held.ended).toBe(false);
      await expect(other.transmit(fromHex("00ca0109"))).rejects.toMatchObject({
        codeName: "SCARD_E_SHARING_VIOLATION",
      });
      expect(await held.use("ecdsa", new Uint8Array())).toEqual(Uint8Array.of(0x90));
      expect(commands).toEqual(["0101", "0102", "0104", "0101", "0103"]);
      expect(verified).toEqual(["313233", "313233"]);
      expect(card.transaction).toBe(transaction);
      await other.transmit(fromHex("00ca0105"));
      await other.disconnect();
    });

    test("is verified once if no caller waited for longer than a moment", async () => {
      await using card = await cardWith();
      const held = await authenticated(card);
      const waiting = card.exclusively(send(2));
      await held.use("ecdsa", new Uint8Array());
      await waiting;
      expect(commands).toEqual(["0101", "0103", "0102"]);
    });

    test("lets two holders use their keys one after the other, in any order", async () => {
      await using card = await cardWith();
      const first = await authenticated(card);
      const second = await authenticated(card);
      await first.use("ecdsa", new Uint8Array());
      await second.use("ecdsa", new Uint8Array());
      expect(commands).toEqual(["0101", "0101", "0101", "0103", "0101", "0103"]);
    });

    test("is not kept when others reset the card, or a PIN was changed", async () => {
      await using card = await cardWith();
      const change = async (): Promise<void> => {
        await Promise.resolve();
        card.endHolds();
      };
      for (const end of [() => card.reset(), () => card.exclusively(change)]) {
        const held = await authenticated(card);
        await end();
        expect(held.ended).toBe(true);
        await expect(held.use("ecdsa", new Uint8Array())).rejects.toMatchObject({ name: "LoginRequiredError" });
      }
      expect(verified).toHaveLength(2);
    });

    test("is not kept when the exchange of another fails by the transport", async () => {
      await using card = await cardWith();
      const held = await authenticated(card);
      failure = new PcscError("SCARD_F_COMM_ERROR");
      await expect(card.exclusively(send(2))).rejects.toThrow("SCARD_F_COMM_ERROR");
      expect(held.ended).toBe(true);
      expect(await card.exclusively(send(4))).toBe(0x9000);
    });

    test("ends after the time of the option, however much others do meanwhile", async () => {
      await using card = await cardWith({ hold: 150 });
      const held = await authenticated(card);
      while (!held.ended) {
        await card.exclusively(send(2));
        await setImmediate();
      }
      await expect(held.use("ecdsa", new Uint8Array())).rejects.toThrow("give its PIN once more");
      expect(await card.exclusively(send(4))).toBe(0x9000);
    });

    test("typed on the reader is not known, and the others wait for the use or the end", async () => {
      await using card = await cardWith({ hold: 150 });
      const held = await authenticated(card, null);
      await card.exclusively(send(2));
      expect(held.ended).toBe(true);
    });

    test("that the card refuses the second time is an error of the use", async () => {
      await using card = await cardWith();
      let wrong = false;
      const held = await authenticateUse(card, {
        pin,
        verify: () => (wrong ? Promise.reject(new PinError("incorrect", "2 tries are left", 2)) : Promise.resolve()),
        use: () => Promise.resolve(new Uint8Array()),
      });
      await card.exclusively(send(2));
      wrong = true;
      await expect(held.use("ecdsa", new Uint8Array())).rejects.toMatchObject({
        name: "LoginRequiredError",
        message: expect.stringContaining("2 tries are left") as unknown,
      });
      expect(held.ended).toBe(true);
    });

    test("leaves nothing when the use is aborted while others have the turn", async () => {
      await using card = await cardWith();
      const held = await authenticated(card);
      await card.exclusively(send(2));
      const keeper = await card.holdTurn();
      const stop = new AbortController();
      const using = held.use("ecdsa", new Uint8Array(), { signal: stop.signal });
      stop.abort();
      await expect(using).rejects.toMatchObject({ name: "CardCancelledError" });
      expect(held.ended).toBe(true);
      await keeper[Symbol.asyncDispose]();
      expect(await card.exclusively(send(4))).toBe(0x9000);
    });
  });
});
