import { describe, expect, test } from "@jest/globals";
import { CardChannel, Concealer } from "../../src/apdu/index.ts";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { type CardConnection, MemoryReaders, type Pcsc, record, replay } from "../../src/pcsc/index.ts";

const READER = "Reader 00";
const SECRET = "5ec2e75ec2e7";

/** Takes any PIN, and decrypts everything to the same secret, the second half by GET RESPONSE. */
const card = {
  atr: fromHex("3b80800101"),
  reset: () => undefined,
  transmit: (command: Uint8Array) => {
    const answers = new Map([
      [0x20, "9000"],
      [0x2a, `${SECRET}6106`],
      [0xc0, `${SECRET}9000`],
    ]);
    return Promise.resolve(fromHex(answers.get(command[1] ?? 0) ?? "6d00"));
  },
};

async function decryptAfterLogin(connection: CardConnection, pin: string): Promise<number> {
  const channel = new CardChannel((command, options) => connection.transmit(command, options));
  await channel.send({ cla: 0, ins: 0x20, p1: 0, p2: 0x80, data: utf8(pin) });
  const cryptogram = new Uint8Array(200).fill(1);
  return (await channel.send({ cla: 0, ins: 0x2a, p1: 0x80, p2: 0x86, data: cryptogram, ne: 256 })).sw;
}

async function recording(pin: string): Promise<string> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  let text = "";
  const pcsc: Pcsc = record(
    readers.client(),
    (line) => (text += line),
    () => new Concealer(),
    "a test",
  );
  await using connection = await pcsc.connect(READER);
  await decryptAfterLogin(connection, pin);
  return text;
}

const withoutTimes = (text: string): string => text.replaceAll(/"(?:time|at|took)":[^,}]+/gu, "");

describe("a recording", () => {
  test("holds neither PIN nor what was decrypted, and is the same for PINs of other lengths", async () => {
    const text = await recording("123456");
    expect(text).toContain('"00200080**"');
    expect(text).not.toContain(SECRET.slice(0, 6));
    expect(text).not.toContain("313233");
    expect(withoutTimes(await recording("87654321"))).toBe(withoutTimes(text));
  });

  test("conceals what the builder of a command calls secret, and shows what it calls harmless", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, card);
    const lines: string[] = [];
    await using connection = await record(
      readers.client(),
      (line) => lines.push(line),
      () => new Concealer(),
      "a test",
    ).connect(READER);
    const channel = new CardChannel((command, options) => connection.transmit(command, options));
    const data = fromHex(SECRET);
    await channel.send({ cla: 0, ins: 0xd6, p1: 0, p2: 0, data, conceal: "command" });
    await channel.send({ cla: 0x80, ins: 0x5a, p1: 0, p2: 0, data, conceal: "nothing" });
    await channel.send({ cla: 0x80, ins: 0x5a, p1: 0, p2: 0, data });
    expect(lines.slice(2).map((line) => (JSON.parse(line) as { command: string }).command)).toEqual([
      "00d60000**",
      `805a000006${SECRET}`,
      "805a0000**",
    ]);
  });

  test("is replayed with another PIN", async () => {
    await using connection = await replay(await recording("123456")).connect(READER);
    expect(await decryptAfterLogin(connection, "87654321")).toBe(0x9000);
  });
});
