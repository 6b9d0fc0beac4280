import { beforeEach, describe, expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { Card, type CardExchange, type CardOptions } from "../../src/card/index.ts";
import { type CardConnection, type InProcessCard, MemoryReaders, PcscError } from "../../src/pcsc/index.ts";

const READER = "Memory Reader";
const COMMAND = { cla: 0x00, ins: 0xca, p1: 0x01, p2: 0x00 };
const send = ({ send }: CardExchange): Promise<string> => send(COMMAND).then(({ sw }) => sw.toString(16));

/** Answers 9000 to all; the hook may hold an exchange up, or break it. */
class SlowCard implements InProcessCard {
  readonly atr = fromHex("3b80800101");
  readonly commands: string[] = [];
  resets = 0;
  before: (() => Promise<void> | void) | undefined;

  reset(): void {
    this.resets++;
  }

  async transmit(command: Uint8Array): Promise<Uint8Array> {
    this.commands.push(toHex(command));
    await this.before?.();
    return fromHex("9000");
  }
}

let readers: MemoryReaders;
let inReader: SlowCard;
const connect = (): Promise<CardConnection> => readers.client({ patience: 50 }).connect(READER);
const cardWith = async (options: CardOptions = {}): Promise<Card> => new Card(await connect(), options);

beforeEach(() => {
  readers = new MemoryReaders();
  inReader = new SlowCard();
  readers.plug(READER);
  readers.insert(READER, inReader);
});

/** Holds the next exchange up, until what it gives is called. */
function holdUp(): { readonly begun: Promise<void>; readonly finish: () => void } {
  let begin: (() => void) | undefined;
  let finish: (() => void) | undefined;
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const finished = new Promise<void>((resolve) => (finish = resolve));
  inReader.before = () => {
    inReader.before = undefined;
    begin?.();
    return finished;
  };
  return { begun, finish: () => finish?.() };
}

describe("an abort", () => {
  test("ends the caller's wait; the exchange under way is finished, no further command is sent, and nothing is reset", async () => {
    await using card = await cardWith();
    const exchange = holdUp();
    const stop = new AbortController();
    const work = card.exclusively(
      async (exchange) => {
        await send(exchange);
        return send(exchange);
      },
      { signal: stop.signal },
    );
    await exchange.begun;
    stop.abort();
    await expect(work).rejects.toMatchObject({ name: "CardCancelledError" });
    exchange.finish();
    expect(await card.exclusively(send)).toBe("9000");
    expect(inReader.commands).toHaveLength(2);
    expect(card.resets).toBe(0);
    expect(inReader.resets).toBe(1);
  });

  test("leaves the queue at once, and the calls behind it move up", async () => {
    await using card = await cardWith();
    const exchange = holdUp();
    const first = card.exclusively(send);
    await exchange.begun;
    const stop = new AbortController();
    const second = card.exclusively(send, { signal: stop.signal });
    const third = card.exclusively(send);
    stop.abort();
    await expect(second).rejects.toMatchObject({ name: "CardCancelledError" });
    exchange.finish();
    expect(await Promise.all([first, third])).toEqual(["9000", "9000"]);
    expect(inReader.commands).toHaveLength(2);
  });
});

describe("a transaction", () => {
  test("lingers while no other program is connected, and is one for the calls meanwhile", async () => {
    await using card = await cardWith({ linger: 60_000 });
    await card.exclusively(send);
    const { transaction } = card;
    await card.exclusively(send);
    expect(card.transaction).toBe(transaction);
    await card.release();
    await card.exclusively(send);
    expect(card.transaction).toBe(transaction + 1);
  });

  test("ends with its call beside another program", async () => {
    await using card = await cardWith({ linger: 60_000 });
    const other = await connect();
    await card.exclusively(send);
    const { transaction } = card;
    expect(toHex(await other.transmit(fromHex("00ca0100")))).toBe("9000");
    await card.exclusively(send);
    expect(card.transaction).toBe(transaction + 1);
    await other.disconnect();
  });

  test("does not linger with a linger of 0", async () => {
    await using card = await cardWith({ linger: 0 });
    await card.exclusively(send);
    const other = await connect();
    expect(toHex(await other.transmit(fromHex("00ca0100")))).toBe("9000");
    await other.disconnect();
  });

  test("that lingers ends by itself, so that another program gets the card", async () => {
    await using card = await cardWith({ linger: 1 });
    await card.exclusively(send);
    const other = await readers.client({ patience: 10_000 }).connect(READER);
    expect(toHex(await other.transmit(fromHex("00ca0100")))).toBe("9000");
    await other.disconnect();
  });

  test("that is held keeps other programs away over calls, until all who hold it have let go", async () => {
    await using card = await cardWith({ linger: 0 });
    const other = await connect();
    const [one, two] = [await card.hold(), await card.hold()];
    await card.exclusively(send);
    await one[Symbol.asyncDispose]();
    await expect(other.transmit(fromHex("00ca0100"))).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    await two[Symbol.asyncDispose]();
    expect(toHex(await other.transmit(fromHex("00ca0100")))).toBe("9000");
    await other.disconnect();
  });
});

describe("a reset by another program", () => {
  test("that only an exchange tells of is taken up, and the next call succeeds", async () => {
    await using card = await cardWith();
    // pcscd forgets the protocol at a power-up, and BEGIN and END know nothing of that.
    inReader.before = () => {
      inReader.before = undefined;
      throw new PcscError("SCARD_W_RESET_CARD");
    };
    await expect(card.exclusively(send)).rejects.toMatchObject({ name: "CardResetError" });
    expect(card.resets).toBe(1);
    expect(await card.exclusively(send)).toBe("9000");
    expect(card.resets).toBe(1);
  });

  test("between two calls is counted before the next one", async () => {
    await using card = await cardWith({ linger: 0 });
    await card.exclusively(send);
    const other = await connect();
    await other.reconnect(1);
    await other.disconnect();
    expect(await card.exclusively(send)).toBe("9000");
    expect(card.resets).toBe(1);
  });
});

describe("an exchange without an answer", () => {
  const silence = (): void => {
    inReader.before = () => {
      inReader.before = undefined;
      throw new PcscError("SCARD_E_TIMEOUT");
    };
  };

  test("is given up with its connection; the next call connects anew, and nothing counts as verified", async () => {
    let connections = 0;
    await using card = await cardWith({
      reconnect: () => {
        connections++;
        return connect();
      },
    });
    silence();
    await expect(card.exclusively(send)).rejects.toMatchObject({ name: "CardTimeoutError" });
    expect(await card.exclusively(send)).toBe("9000");
    expect(connections).toBe(1);
    expect(card.resets).toBe(1);
  });

  test("does not lead to another card in the same reader", async () => {
    const another = new MemoryReaders();
    another.plug(READER);
    another.insert(READER, Object.assign(new SlowCard(), { atr: fromHex("3b80800202") }));
    await using card = await cardWith({ reconnect: () => another.client().connect(READER) });
    silence();
    await expect(card.exclusively(send)).rejects.toMatchObject({ name: "CardTimeoutError" });
    await expect(card.exclusively(send)).rejects.toThrow("another card is in the reader");
  });

  test("leaves the card gone where nothing says how to connect anew", async () => {
    await using card = await cardWith();
    silence();
    await expect(card.exclusively(send)).rejects.toMatchObject({ name: "CardTimeoutError" });
    await expect(card.exclusively(send)).rejects.toMatchObject({ name: "CardGoneError" });
  });
});
