import { beforeEach, describe, expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { Card, type CardExchange, MalformedAnswerError, SelectedApplication } from "../../src/card/index.ts";
import { type InProcessCard, MemoryReaders } from "../../src/pcsc/index.ts";

const READER = "Memory Reader";
const command = (hex: string): { cla: number; ins: number; p1: number; p2: number } => {
  const [cla = 0, ins = 0, p1 = 0, p2 = 0] = fromHex(hex);
  return { cla, ins, p1, p2 };
};
const SELECT = { ours: "00a40001", theirs: "00a40002" };
const PROBE = "00ca0001";
const USE = "00870001";

/** Two applications: ours answers the probe and the use with 9000, theirs with 6D00, or with 9000 and bytes of its own. */
class TwoApplications implements InProcessCard {
  readonly atr = fromHex("3b80800101");
  readonly commands: string[] = [];
  selected: "none" | "ours" | "theirs" = "none";
  /** The other application answers a use of ours as if it were its own. */
  lies = false;

  reset(): void {
    this.selected = "none";
  }

  transmit(bytes: Uint8Array): Promise<Uint8Array> {
    const header = toHex(bytes.subarray(0, 4));
    this.commands.push(header);
    if (header === SELECT.ours) this.selected = "ours";
    if (header === SELECT.theirs) this.selected = "theirs";
    const known = header.startsWith("00a4") || this.selected === "ours";
    if (header === USE && this.selected === "theirs" && this.lies) return Promise.resolve(fromHex("bad09000"));
    if (!known) return Promise.resolve(fromHex("6d00"));
    return Promise.resolve(fromHex(header === USE ? "900d9000" : "9000"));
  }
}

let readers: MemoryReaders;
let inReader: TwoApplications;
let card: Card;
let ours: SelectedApplication;

const applicationOn = (target: Card, select: string): SelectedApplication =>
  new SelectedApplication(target, {
    select: async ({ send }) => {
      await send(command(select));
    },
    probe: async ({ send }) => (await send(command(PROBE))).sw === 0x9000,
  });

beforeEach(async () => {
  readers = new MemoryReaders();
  inReader = new TwoApplications();
  readers.plug(READER);
  readers.insert(READER, inReader);
  card = new Card(await readers.client().connect(READER), { linger: 0 });
  ours = applicationOn(card, SELECT.ours);
});

const use = async ({ send }: CardExchange): Promise<string> => toHex((await send(command(USE))).data);

/** Uses the application optimistically; 6D00 may be another one's, and so may a result that is not 900D. */
const useOptimistically = (): Promise<string> =>
  ours.runOptimistically(async (exchange, attempt) => {
    const { data, sw } = await exchange.send(command(USE));
    if (sw !== 0x9000) await attempt.confirm();
    if (!attempt.confirmed && toHex(data) !== "900d") attempt.startOver();
    return toHex(data);
  });

/** Another program connects, selects its application, and leaves. */
async function visit(): Promise<void> {
  const visitor = await readers.client().connect(READER);
  await visitor.transmit(fromHex(SELECT.theirs));
  await visitor.disconnect();
  inReader.commands.length = 0;
}

describe("confirmed work", () => {
  test("selects the application first, and confirms it in each later transaction", async () => {
    expect(await ours.runConfirmed(use)).toBe("900d");
    expect(inReader.commands).toEqual([SELECT.ours, USE]);
    inReader.commands.length = 0;
    expect(await ours.runConfirmed(use)).toBe("900d");
    expect(inReader.commands).toEqual([PROBE, USE]);
  });

  test("never reaches another application", async () => {
    await ours.runConfirmed(use);
    inReader.lies = true;
    await visit();
    expect(await ours.runConfirmed(use)).toBe("900d");
    expect(inReader.commands).toEqual([PROBE, SELECT.ours, USE]);
  });

  test("asks once in a transaction that lingers", async () => {
    card = new Card(await readers.client().connect(READER), { linger: 60_000 });
    ours = applicationOn(card, SELECT.ours);
    // Two connections: the first card of this test is another program now, and nothing lingers beside one.
    await ours.runConfirmed(use);
    await ours.runConfirmed(use);
    expect(inReader.commands).toEqual([SELECT.ours, USE, PROBE, USE]);
    await card[Symbol.asyncDispose]();
  });
});

describe("optimistic work", () => {
  test("asks nothing as long as the application answers", async () => {
    await useOptimistically();
    inReader.commands.length = 0;
    expect(await useOptimistically()).toBe("900d");
    expect(inReader.commands).toEqual([USE]);
  });

  test("a right result confirms the application for the transaction; a wrong one starts over", async () => {
    await useOptimistically();
    inReader.lies = true;
    await visit();
    const seen: boolean[] = [];
    const prove = (): Promise<string> =>
      ours.runOptimistically(async (exchange, attempt) => {
        const result = await use(exchange);
        seen.push(attempt.confirmed);
        return attempt.confirmed ? result : attempt.proved(result, result === "900d");
      });
    const hold = await card.hold();
    expect([await prove(), await prove()]).toEqual(["900d", "900d"]);
    await hold[Symbol.asyncDispose]();
    expect(seen).toEqual([false, true, true]);
    seen.length = 0;
    const another = await card.hold();
    expect([await prove(), await prove()]).toEqual(["900d", "900d"]);
    await another[Symbol.asyncDispose]();
    // The first result of a transaction is proved, the next need no proof.
    expect(seen).toEqual([false, true]);
  });

  test("starts over where another application refused", async () => {
    await useOptimistically();
    await visit();
    expect(await useOptimistically()).toBe("900d");
    expect(inReader.commands).toEqual([USE, PROBE, SELECT.ours, USE]);
  });

  test("starts over where another application gave a result of its own", async () => {
    await useOptimistically();
    inReader.lies = true;
    await visit();
    expect(await useOptimistically()).toBe("900d");
    expect(inReader.commands).toEqual([USE, PROBE, SELECT.ours, USE]);
  });

  test("starts over where what another application answered does not parse", async () => {
    await useOptimistically();
    inReader.lies = true;
    await visit();
    const used = await ours.runOptimistically(async ({ send }) => {
      const { data } = await send(command(USE));
      if (toHex(data) !== "900d") throw new MalformedAnswerError("no result");
      return toHex(data);
    });
    expect(used).toBe("900d");
    expect(inReader.commands).toEqual([USE, PROBE, SELECT.ours, USE]);
  });

  test("selects after a reset: nothing is selected then", async () => {
    await useOptimistically();
    await card.reset();
    inReader.commands.length = 0;
    expect(await useOptimistically()).toBe("900d");
    expect(inReader.commands).toEqual([SELECT.ours, USE]);
  });
});

test("of two applications of one card in this process, the one that was selected last counts as selected", async () => {
  const theirs = applicationOn(card, SELECT.theirs);
  await ours.runConfirmed(use);
  await theirs.runConfirmed(() => Promise.resolve());
  inReader.commands.length = 0;
  expect(await ours.runConfirmed(use)).toBe("900d");
  expect(inReader.commands).toEqual([SELECT.ours, USE]);
});
