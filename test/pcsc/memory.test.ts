import { setImmediate as tick } from "node:timers/promises";
import { describe, expect, test } from "@jest/globals";
import {
  type CardConnection,
  MemoryReaders,
  type Pcsc,
  PcscError,
  type ReaderState,
  SCARD_DISPOSITION,
  SCARD_PROTOCOL,
  SCARD_SHARE,
  type ScardErrorName,
} from "../../src/pcsc/index.ts";
import { OK, ScriptedCard, T1_ATR } from "./scripted-card.ts";

const COMMAND = Uint8Array.of(0x00, 0xa4, 0x04, 0x00);

/** A reader with a card, and two programs that know nothing of each other. */
function setUp(patience = 5000): { readers: MemoryReaders; card: ScriptedCard; one: Pcsc; two: Pcsc } {
  const readers = new MemoryReaders();
  const card = new ScriptedCard();
  readers.plug("Reader");
  readers.insert("Reader", card);
  return { readers, card, one: readers.client({ patience }), two: readers.client({ patience }) };
}

async function expectCode(promise: Promise<unknown>, code: ScardErrorName): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(PcscError);
  expect(error).toMatchObject({ codeName: code });
}

async function only(pcsc: Pcsc): Promise<ReaderState> {
  const [reader] = await pcsc.readers();
  if (!reader) throw new Error("no reader");
  return reader;
}

describe("readers", () => {
  test("come and go, and tell of the card in them", async () => {
    const readers = new MemoryReaders();
    const pcsc = readers.client();
    expect(await pcsc.readers()).toEqual([]);
    readers.plug("Reader");
    const empty = {
      name: "Reader",
      unavailable: false,
      present: false,
      mute: false,
      sharing: 0,
      events: 0,
      atr: new Uint8Array(),
    };
    expect(await pcsc.readers()).toEqual([empty]);
    readers.insert("Reader", new ScriptedCard());
    expect(await only(pcsc)).toEqual({ ...empty, present: true, events: 1, atr: T1_ATR });
    readers.eject("Reader");
    expect(await only(pcsc)).toEqual({ ...empty, events: 2 });
    readers.insert("Reader", new ScriptedCard(new Uint8Array()));
    expect(await only(pcsc)).toEqual({ ...empty, present: true, mute: true, events: 3 });
    readers.unplug("Reader");
    expect(await pcsc.readers()).toEqual([]);
  });

  test("refuse what no hand could do", () => {
    const { readers } = setUp();
    expect(() => {
      readers.plug("Reader");
    }).toThrow("plugged in already");
    expect(() => {
      readers.insert("Reader", new ScriptedCard());
    }).toThrow("eject it first");
    readers.eject("Reader");
    expect(() => {
      readers.eject("Reader");
    }).toThrow(expect.objectContaining({ codeName: "SCARD_E_NO_SMARTCARD" }));
    const unknown = expect.objectContaining({ codeName: "SCARD_E_UNKNOWN_READER" });
    expect(() => {
      readers.unplug("Other");
    }).toThrow(unknown);
    expect(() => {
      readers.insert("Other", new ScriptedCard());
    }).toThrow(unknown);
  });

  test("a card that goes in is powered up", () => {
    expect(setUp().card.resets).toBe(1);
  });
});

describe("connect", () => {
  test("gives the answer to reset and the protocol, and is counted", async () => {
    const { one, two } = setUp();
    const connection = await one.connect("Reader");
    expect(connection).toMatchObject({ reader: "Reader", atr: T1_ATR, protocol: SCARD_PROTOCOL.T1 });
    expect(await connection.alone()).toBe(true);
    const other = await two.connect("Reader");
    expect((await only(one)).sharing).toBe(2);
    expect(await connection.alone()).toBe(false);
    await other.disconnect();
    expect((await only(one)).sharing).toBe(1);
    expect(await connection.alone()).toBe(true);
  });

  test("needs the reader, a card, and a card that answers", async () => {
    const { readers, one } = setUp();
    await expectCode(one.connect("Other"), "SCARD_E_UNKNOWN_READER");
    readers.eject("Reader");
    await expectCode(one.connect("Reader"), "SCARD_E_NO_SMARTCARD");
    readers.insert("Reader", new ScriptedCard(new Uint8Array()));
    await expectCode(one.connect("Reader"), "SCARD_W_UNPOWERED_CARD");
    expect((await only(one)).sharing).toBe(0);
  });

  test.each([
    ["none said", "3b00", 3, SCARD_PROTOCOL.T0],
    ["T=0 only", "3b8000", 3, SCARD_PROTOCOL.T0],
    ["T=1 first, then T=0", "3b818100", 3, SCARD_PROTOCOL.T1],
    ["T=0 first, then T=1", "3bf01100ff8001", SCARD_PROTOCOL.T1, SCARD_PROTOCOL.T1],
    ["T=0 first, then T=1, both wanted", "3b80800101", 3, SCARD_PROTOCOL.T1],
    ["raw access", "3b8001", SCARD_PROTOCOL.RAW, SCARD_PROTOCOL.RAW],
  ])("takes a protocol that the card offers: %s", async (_, atr, protocols, expected) => {
    const readers = new MemoryReaders();
    readers.plug("Reader");
    readers.insert("Reader", new ScriptedCard(Buffer.from(atr, "hex")));
    const connection = await readers.client().connect("Reader", { protocols });
    expect(connection.protocol).toBe(expected);
  });

  test("refuses a protocol that the card does not offer, or that is not the one in force", async () => {
    const { readers, one, two } = setUp();
    await expectCode(one.connect("Reader", { protocols: SCARD_PROTOCOL.T0 }), "SCARD_E_PROTO_MISMATCH");
    readers.eject("Reader");
    readers.insert("Reader", new ScriptedCard(Buffer.from("3bf01100ff8001", "hex")));
    await one.connect("Reader");
    await expectCode(two.connect("Reader", { protocols: SCARD_PROTOCOL.T0 }), "SCARD_E_PROTO_MISMATCH");
  });

  test("exclusively keeps everybody else out, and wants to be first", async () => {
    const { one, two } = setUp();
    const exclusive = await one.connect("Reader", { share: SCARD_SHARE.EXCLUSIVE });
    expect((await only(two)).sharing).toBe(-1);
    expect(await exclusive.alone()).toBe(true);
    await expectCode(two.connect("Reader"), "SCARD_E_SHARING_VIOLATION");
    await exclusive.begin();
    await exclusive.end();
    await expectCode(exclusive.end(), "SCARD_E_NOT_TRANSACTED");
    await expectCode(two.connect("Reader"), "SCARD_E_SHARING_VIOLATION");
    await exclusive.disconnect();
    const shared = await two.connect("Reader");
    await expectCode(one.connect("Reader", { share: SCARD_SHARE.EXCLUSIVE }), "SCARD_E_SHARING_VIOLATION");
    expect(await shared.transmit(COMMAND)).toEqual(OK);
  });

  test("directly needs no card and speaks to the reader only", async () => {
    const { readers, one } = setUp();
    readers.eject("Reader");
    const direct = await one.connect("Reader", { share: SCARD_SHARE.DIRECT });
    expect(direct).toMatchObject({ protocol: SCARD_PROTOCOL.UNDEFINED, atr: new Uint8Array() });
    expect(await direct.control(0x42000d48, new Uint8Array())).toEqual(new Uint8Array());
    await expectCode(direct.control(0x42000001, new Uint8Array()), "SCARD_E_UNSUPPORTED_FEATURE");
    await expectCode(direct.transmit(COMMAND), "SCARD_E_NO_SMARTCARD");
  });

  test("waits for another's transaction to end, but not for ever", async () => {
    const { one, two } = setUp(30);
    const holder = await one.connect("Reader");
    await holder.begin();
    await expectCode(two.connect("Reader"), "SCARD_E_SHARING_VIOLATION");
    const waiting = two.connect("Reader");
    await holder.end();
    await using connection = await waiting;
    expect(await connection.transmit(COMMAND)).toEqual(OK);
  });
});

describe("transmit", () => {
  test("carries command and answer, and keeps calls in order", async () => {
    const { card, one } = setUp();
    const connection = await one.connect("Reader");
    card.answer = async (command) => {
      await tick();
      return command;
    };
    const answers = await Promise.all([1, 2, 3].map((n) => connection.transmit(Uint8Array.of(0, 0, 0, n))));
    expect(answers).toEqual([1, 2, 3].map((n) => Uint8Array.of(0, 0, 0, n)));
  });

  test("gives the card one command at a time, from any sender", async () => {
    const { card, one, two } = setUp();
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    const release = card.hold();
    const first = a.transmit(COMMAND);
    const second = b.transmit(COMMAND);
    await tick();
    expect(card.received).toHaveLength(1);
    release();
    expect(await Promise.all([first, second])).toEqual([OK, OK]);
  });

  test("given up in the middle is finished behind its caller, before the card gets other commands; nothing is reset", async () => {
    const { card, one, two } = setUp();
    const connection = await one.connect("Reader");
    const other = await two.connect("Reader");
    const release = card.hold();
    const command = Uint8Array.of(0, 0x20, 0, 0x80, 1, 0x31);
    const abort = new AbortController();
    const gaveUp = connection.transmit(command, { signal: abort.signal });
    await tick();
    abort.abort();
    await expectCode(gaveUp, "SCARD_E_CANCELLED");
    command.fill(0);
    const next = [connection.transmit(COMMAND), other.transmit(COMMAND)];
    await tick();
    expect(card.received).toEqual([Uint8Array.of(0, 0x20, 0, 0x80, 1, 0x31)]);
    release();
    expect(await Promise.all(next)).toEqual([OK, OK]);
    expect(card.resets).toBe(1);
  });

  test("without an answer is given up in time, and its connection with it", async () => {
    const { card, readers } = setUp();
    const connection = await readers.client({ exchangeTimeout: 5, longExchangeTimeout: 10 }).connect("Reader");
    card.hold();
    await expectCode(connection.transmit(COMMAND, { long: true }), "SCARD_E_TIMEOUT");
    await expectCode(connection.transmit(COMMAND), "SCARD_E_INVALID_HANDLE");
  });

  test("is given the time that the command itself says, however short the usual one is", async () => {
    const { card, readers } = setUp();
    const connection = await readers.client({ exchangeTimeout: 60_000, longExchangeTimeout: 60_000 }).connect("Reader");
    card.hold();
    await expect(connection.transmit(COMMAND, { answersWithin: 20 })).rejects.toThrow(
      "did not answer for 0.02 seconds",
    );
  });

  test.each(["the card is pulled out", "its connection is closed"])(
    "without an answer leaves no timer once %s",
    async (how) => {
      const { card, readers, one } = setUp();
      const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
      const before = timers();
      const connection = await one.connect("Reader");
      card.hold();
      const pending = connection.transmit(COMMAND, { long: true }).catch((error: unknown) => error);
      await tick();
      expect(timers()).toBe(before + 1);
      if (how === "the card is pulled out") readers.eject("Reader");
      else await one.close();
      expect(await pending).toBeInstanceOf(PcscError);
      expect(timers()).toBe(before);
    },
  );

  test("without an answer does not keep its connection from closing", async () => {
    const { card, one } = setUp();
    const connection = await one.connect("Reader");
    card.hold();
    const pending = expectCode(connection.transmit(COMMAND), "SCARD_E_CANCELLED");
    await connection.disconnect();
    await pending;
  });

  test("sends nothing for a signal that was aborted before", async () => {
    const { card, one } = setUp();
    const connection = await one.connect("Reader");
    await expectCode(connection.transmit(COMMAND, { signal: AbortSignal.abort() }), "SCARD_E_CANCELLED");
    await expectCode(connection.begin({ signal: AbortSignal.abort() }), "SCARD_E_CANCELLED");
    await expectCode(one.connect("Reader", { signal: AbortSignal.abort() }), "SCARD_E_CANCELLED");
    expect(card.received).toHaveLength(0);
    expect((await only(one)).sharing).toBe(1);
    expect(await connection.transmit(COMMAND)).toEqual(OK);
  });

  test("bounds lengths both ways", async () => {
    const { card, one } = setUp();
    const connection = await one.connect("Reader");
    await expectCode(connection.transmit(new Uint8Array()), "SCARD_E_INVALID_PARAMETER");
    await expectCode(connection.transmit(new Uint8Array(65_545)), "SCARD_E_INVALID_PARAMETER");
    expect(await connection.transmit(new Uint8Array(65_544))).toEqual(OK);
    card.answer = () => Promise.resolve(new Uint8Array(65_545));
    await expectCode(connection.transmit(COMMAND), "SCARD_E_INSUFFICIENT_BUFFER");
  });

  test.each(["never answers", "answers"])(
    "a card that is replaced within its own exchange, and then %s, was removed",
    async (how) => {
      const readers = new MemoryReaders();
      readers.plug("Reader");
      const other = { atr: T1_ATR, reset: () => undefined, transmit: () => Promise.resolve(OK) };
      readers.insert("Reader", {
        ...other,
        transmit: () => {
          readers.eject("Reader");
          readers.insert("Reader", other);
          return how === "answers" ? Promise.resolve(OK) : new Promise(() => undefined);
        },
      });
      const client = readers.client({ exchangeTimeout: 2_000 });
      const connection = await client.connect("Reader");
      await expectCode(connection.transmit(COMMAND), "SCARD_W_REMOVED_CARD");
      await using next = await client.connect("Reader");
      expect(await next.transmit(COMMAND)).toEqual(OK);
    },
  );

  test("a card that throws is an exchange that failed, and the next one works", async () => {
    const { card, one } = setUp();
    const connection = await one.connect("Reader");
    const cause = new Error("out of order");
    card.answer = () => Promise.reject(cause);
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_E_NOT_TRANSACTED", cause });
    card.answer = () => Promise.resolve(OK);
    expect(await connection.transmit(COMMAND)).toEqual(OK);
  });
});

describe("a transaction", () => {
  let connections: [CardConnection, CardConnection];

  async function two(patience: number): Promise<ReturnType<typeof setUp>> {
    const world = setUp(patience);
    connections = [await world.one.connect("Reader"), await world.two.connect("Reader")];
    return world;
  }

  test("keeps others from the card until it ends", async () => {
    const { card } = await two(5000);
    const [a, b] = connections;
    await a.begin();
    const waiting = b.transmit(COMMAND);
    expect(await a.transmit(Uint8Array.of(0, 1, 2, 3))).toEqual(OK);
    await tick();
    expect(card.received).toHaveLength(1);
    await a.end();
    expect(await waiting).toEqual(OK);
  });

  test("is waited for only so long", async () => {
    await two(20);
    const [a, b] = connections;
    await a.begin();
    await expectCode(b.begin(), "SCARD_E_SHARING_VIOLATION");
    await expectCode(b.transmit(COMMAND), "SCARD_E_SHARING_VIOLATION");
    await expectCode(b.reconnect(), "SCARD_E_SHARING_VIOLATION");
    await expectCode(b.control(0x42000d48, new Uint8Array()), "SCARD_E_SHARING_VIOLATION");
    await expectCode(b.attribute(0x00090303), "SCARD_E_SHARING_VIOLATION");
    await expectCode(b.end(), "SCARD_E_SHARING_VIOLATION");
    await expectCode(b.end(SCARD_DISPOSITION.RESET_CARD), "SCARD_E_SHARING_VIOLATION");
  });

  test("is waited for until the signal aborts", async () => {
    await two(60_000);
    const [a, b] = connections;
    await a.begin();
    const abort = new AbortController();
    const calls = [b.begin({ signal: abort.signal }), b.transmit(COMMAND, { signal: abort.signal })];
    await tick();
    abort.abort();
    for (const call of calls) await expectCode(call, "SCARD_E_CANCELLED");
    await a.end();
    await b.begin();
    await b.end();
  });

  test("goes to those who wait in the order in which they came", async () => {
    const { readers } = await two(5000);
    const [a, b] = connections;
    const c = await readers.client().connect("Reader");
    const order: string[] = [];
    await a.begin();
    const turns = (["b", "c"] as const).map(async (name) => {
      const connection = { b, c }[name];
      await connection.begin();
      order.push(name);
      await connection.end();
    });
    await a.end();
    await Promise.all(turns);
    expect(order).toEqual(["b", "c"]);
  });

  test("begun twice is ended twice; one end too many is an error", async () => {
    await two(20);
    const [a, b] = connections;
    await a.begin();
    await a.begin();
    await a.end();
    await expectCode(b.begin(), "SCARD_E_SHARING_VIOLATION");
    await a.end();
    await expectCode(a.end(), "SCARD_E_NOT_TRANSACTED");
    await b.begin();
  });

  test("ends with its connection, and the card is left as it is", async () => {
    const { card } = await two(20);
    const [a, b] = connections;
    await a.begin();
    await a.disconnect();
    await b.begin();
    expect(card.resets).toBe(1);
  });

  test("of a program that dies ends with a reset", async () => {
    const { card, one } = await two(20);
    const [a, b] = connections;
    await a.begin();
    await one.close();
    await expectCode(b.transmit(COMMAND), "SCARD_W_RESET_CARD");
    await b.reconnect();
    expect(await b.transmit(COMMAND)).toEqual(OK);
    expect(card.resets).toBe(2);
  });
});

describe("a reset", () => {
  test("by one connection is seen by the others until they reconnect", async () => {
    const { card, one, two } = setUp();
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    await a.reconnect(1);
    expect(card.resets).toBe(2);
    expect(await a.transmit(COMMAND)).toEqual(OK);
    await expectCode(b.transmit(COMMAND), "SCARD_W_RESET_CARD");
    await expectCode(b.begin(), "SCARD_W_RESET_CARD");
    await expectCode(b.end(), "SCARD_W_RESET_CARD");
    await expectCode(b.attribute(0x00090303), "SCARD_W_RESET_CARD");
    await b.reconnect();
    expect(card.resets).toBe(2);
    expect(await b.transmit(COMMAND)).toEqual(OK);
  });

  test("at the end of a transaction is seen by all, its owner too", async () => {
    const { card, one, two } = setUp();
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    await a.begin();
    await a.end(SCARD_DISPOSITION.RESET_CARD);
    expect(card.resets).toBe(2);
    await expectCode(a.transmit(COMMAND), "SCARD_W_RESET_CARD");
    await expectCode(b.transmit(COMMAND), "SCARD_W_RESET_CARD");
    await Promise.all([a.reconnect(), b.reconnect()]);
    expect(await b.transmit(COMMAND)).toEqual(OK);
  });

  test("at disconnect is seen by those who stay", async () => {
    const { card, one, two } = setUp();
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    await a.disconnect(SCARD_DISPOSITION.RESET_CARD);
    expect(card.resets).toBe(2);
    await expectCode(b.transmit(COMMAND), "SCARD_W_RESET_CARD");
  });

  test("in the middle of a transaction keeps the lock: reconnect first, then end", async () => {
    const { one, two } = setUp(20);
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    await a.begin();
    await a.reconnect(2);
    await expectCode(b.transmit(COMMAND), "SCARD_E_SHARING_VIOLATION");
    await a.end();
    await expectCode(b.transmit(COMMAND), "SCARD_W_RESET_CARD");
  });

  test("waits for the exchange under way", async () => {
    const { card, one, two } = setUp();
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    const release = card.hold();
    const exchange = a.transmit(COMMAND);
    await tick();
    const reset = b.reconnect(1);
    await tick();
    expect(card.resets).toBe(1);
    release();
    expect(await exchange).toEqual(OK);
    await reset;
    expect(card.resets).toBe(2);
    await expectCode(a.transmit(COMMAND), "SCARD_W_RESET_CARD");
  });
});

describe("a card taken out", () => {
  test("ends the transmit under way and refuses what comes after", async () => {
    const { readers, card, one } = setUp();
    const connection = await one.connect("Reader");
    card.hold();
    const exchange = connection.transmit(COMMAND);
    await tick();
    readers.eject("Reader");
    await expectCode(exchange, "SCARD_W_REMOVED_CARD");
    await expectCode(connection.transmit(COMMAND), "SCARD_W_REMOVED_CARD");
    await expectCode(connection.begin(), "SCARD_W_REMOVED_CARD");
    await expectCode(connection.reconnect(), "SCARD_E_NO_SMARTCARD");
    await expectCode(connection.reconnect(1), "SCARD_E_NO_SMARTCARD");
  });

  test("and another put in is still a removal, until reconnect takes the new one up", async () => {
    const { readers, one } = setUp();
    const connection = await one.connect("Reader");
    readers.eject("Reader");
    const other = new ScriptedCard(Buffer.from("3b00", "hex"));
    readers.insert("Reader", other);
    await expectCode(connection.transmit(COMMAND), "SCARD_W_REMOVED_CARD");
    await connection.reconnect();
    expect(connection).toMatchObject({ protocol: SCARD_PROTOCOL.T0, atr: new Uint8Array(other.atr) });
    expect(await connection.transmit(COMMAND)).toEqual(OK);
    expect(other.received).toHaveLength(1);
  });

  test("leaves a transaction locked until its owner disconnects", async () => {
    const { readers, one, two } = setUp(20);
    const connection = await one.connect("Reader");
    await connection.begin();
    readers.eject("Reader");
    await expectCode(connection.end(), "SCARD_W_REMOVED_CARD");
    readers.insert("Reader", new ScriptedCard());
    await expectCode(two.connect("Reader"), "SCARD_E_SHARING_VIOLATION");
    await connection.disconnect(SCARD_DISPOSITION.RESET_CARD);
    expect(await (await two.connect("Reader")).transmit(COMMAND)).toEqual(OK);
  });

  test("frees those who wait for another's transaction", async () => {
    const { readers, one, two } = setUp(60_000);
    const holder = await one.connect("Reader");
    const waiter = await two.connect("Reader");
    await holder.begin();
    const waiting = waiter.transmit(COMMAND);
    await tick();
    readers.unplug("Reader");
    await expectCode(waiting, "SCARD_E_READER_UNAVAILABLE");
  });
});

describe("a reader unplugged", () => {
  test("ends the transmit under way; plugged in again it is another reader", async () => {
    const { readers, card, one } = setUp();
    const connection = await one.connect("Reader");
    card.hold();
    const exchange = connection.transmit(COMMAND);
    await tick();
    readers.unplug("Reader");
    await expectCode(exchange, "SCARD_E_READER_UNAVAILABLE");
    readers.plug("Reader");
    readers.insert("Reader", new ScriptedCard());
    for (const call of [
      () => connection.transmit(COMMAND),
      () => connection.reconnect(1),
      () => connection.begin(),
      () => connection.end(),
      () => connection.alone(),
      () => connection.attribute(0x00090303),
    ]) {
      await expectCode(call(), "SCARD_E_READER_UNAVAILABLE");
    }
    await connection.disconnect(SCARD_DISPOSITION.RESET_CARD);
    expect((await only(one)).sharing).toBe(0);
    expect(await (await one.connect("Reader")).transmit(COMMAND)).toEqual(OK);
  });
});

describe("attributes", () => {
  test("are the answer to reset and the reader's name", async () => {
    const { one } = setUp();
    const connection = await one.connect("Reader");
    expect(await connection.attribute(0x00090303)).toEqual(T1_ATR);
    expect(Buffer.from(await connection.attribute(0x7fff0003)).toString()).toBe("Reader\0");
    await expectCode(connection.attribute(0x00010100), "SCARD_E_UNSUPPORTED_FEATURE");
  });
});

describe("the end", () => {
  test("of a connection comes after its calls, once, and refuses further ones", async () => {
    const { card, one } = setUp();
    const connection = await one.connect("Reader");
    const release = card.hold();
    const exchange = connection.transmit(COMMAND);
    const ends = [connection.disconnect(SCARD_DISPOSITION.RESET_CARD), connection.disconnect(1)];
    await tick();
    release();
    expect(await exchange).toEqual(OK);
    await Promise.all(ends);
    await connection.disconnect();
    expect(card.resets).toBe(2);
    await expectCode(connection.transmit(COMMAND), "SCARD_E_INVALID_HANDLE");
    await expectCode(connection.alone(), "SCARD_E_INVALID_HANDLE");
    expect((await only(one)).sharing).toBe(0);
  });

  test("of a scope disconnects", async () => {
    const { one } = setUp();
    {
      await using connection = await one.connect("Reader");
      expect(await connection.alone()).toBe(true);
    }
    expect((await only(one)).sharing).toBe(0);
  });

  test("of a client ends all calls under way, however long they would have taken", async () => {
    const { card, one, two } = setUp(60_000);
    const a = await one.connect("Reader");
    const b = await two.connect("Reader");
    card.hold();
    const exchange = b.transmit(COMMAND);
    await a.begin();
    const opening = two.connect("Reader");
    await two.close();
    await two.close();
    await expectCode(exchange, "SCARD_E_CANCELLED");
    await expectCode(opening, "SCARD_E_CANCELLED");
    await expectCode(two.readers(), "SCARD_E_INVALID_HANDLE");
    await expectCode(two.connect("Reader"), "SCARD_E_INVALID_HANDLE");
    expect((await only(one)).sharing).toBe(1);
  });
});

describe("changes", () => {
  test("begin with the readers now and follow every change", async () => {
    const { readers, one, two } = setUp();
    const seen: string[] = [];
    const steps: (() => unknown)[] = [
      () => {
        readers.eject("Reader");
      },
      () => {
        readers.plug("Second");
      },
      () => {
        readers.insert("Reader", new ScriptedCard());
      },
      () => two.connect("Reader"),
      () => {
        readers.unplug("Second");
      },
    ];
    for await (const states of one.changes()) {
      seen.push(states.map(({ name, present, sharing, events }) => [name, present, sharing, events].join()).join(" "));
      const step = steps.shift();
      if (!step) break;
      await step();
    }
    expect(seen).toEqual([
      "Reader,true,0,1",
      "Reader,false,0,2",
      "Reader,false,0,2 Second,false,0,0",
      "Reader,true,0,3 Second,false,0,0",
      "Reader,true,1,3 Second,false,0,0",
      "Reader,true,1,3",
    ]);
  });

  test("made while no consumer looked come as the newest state, with the event counter to tell", async () => {
    const { readers, one } = setUp();
    const iterator = one.changes()[Symbol.asyncIterator]();
    await iterator.next();
    readers.eject("Reader");
    readers.insert("Reader", new ScriptedCard());
    expect((await iterator.next()).value).toMatchObject([{ present: true, events: 3 }]);
    const pending = iterator.next();
    await iterator.return?.();
    expect(await pending).toEqual({ done: true, value: undefined });
  });

  test("end with the signal, or with the client", async () => {
    const { one, two } = setUp();
    const abort = new AbortController();
    const rounds = [
      {
        pcsc: one,
        signal: abort.signal,
        end: () => {
          abort.abort();
        },
      },
      { pcsc: two, signal: undefined, end: () => void two.close() },
    ];
    for (const { pcsc, end, signal } of rounds) {
      let count = 0;
      for await (const states of pcsc.changes({ signal })) {
        expect(states).toHaveLength(1);
        count++;
        setImmediate(end);
      }
      expect(count).toBe(1);
      for await (const states of pcsc.changes({ signal })) expect(states).toBe("nothing after the end");
    }
  });
});
