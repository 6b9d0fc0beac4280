import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, fromHex, toHex } from "../../src/bytes/index.ts";
import { Refusal } from "../../src/virtual/card.ts";
import { type CardCommand, CardTransport } from "../../src/virtual/transport.ts";

/** A card whose INS 10 gives back its data, INS 20 as many bytes as P1 P2 say; others are refused. */
function card(
  extended = false,
  impliedNe = 0,
): { seen: CardCommand[]; exchange: (command: string) => Promise<string> } {
  const seen: CardCommand[] = [];
  const transport = new CardTransport({ extended, impliedNe }, (command) => {
    // The transport wipes chained data afterwards.
    seen.push({ ...command, data: command.data.slice() });
    if (command.ins === 0x10) return command.data.slice();
    if (command.ins === 0x20) return Uint8Array.from({ length: (command.p1 << 8) | command.p2 }, (_, i) => i);
    throw new Refusal(0x6d00);
  });
  return { seen, exchange: async (command) => toHex(await transport.transmit(fromHex(command))) };
}

const dataOf = (answer: string): string => answer.slice(0, -4);
const statusOf = (answer: string): string => answer.slice(-4);

describe("answers in parts (ISO/IEC 7816-4 section 5.3.4)", () => {
  test("256 bytes at once, the rest by GET RESPONSE", async () => {
    const { exchange } = card();
    const first = await exchange("0020020A00");
    expect([dataOf(first).length / 2, statusOf(first)]).toEqual([256, "6100"]);
    const second = await exchange("00C0000000");
    expect([dataOf(second).length / 2, statusOf(second)]).toEqual([256, "610a"]);
    expect(await exchange("00C0000004")).toBe("000102036106");
    expect(await exchange("00C0000006")).toBe("0405060708099000");
    expect(await exchange("00C0000000")).toBe("6985");
  });

  test("without Le the whole answer waits, unless the card implies one", async () => {
    expect(await card().exchange("00200005")).toBe("6105");
    expect(await card(false, 256).exchange("00200005")).toBe("00010203049000");
  });

  test("another command drops what was not collected", async () => {
    const { exchange } = card();
    await exchange("0020001002");
    expect(await exchange("0010000001AA00")).toBe("aa9000");
    expect(await exchange("00C0000000")).toBe("6985");
  });

  test("one answer holds what extended Le asks for", async () => {
    const answer = await card(true).exchange("00200400000000");
    expect([dataOf(answer).length / 2, statusOf(answer)]).toEqual([1024, "9000"]);
  });
});

describe("command chaining (ISO/IEC 7816-4 section 5.3.3)", () => {
  test("joins the parts, and tells how many APDUs they were", async () => {
    const { exchange, seen } = card();
    expect(await exchange("1010000002AABB")).toBe("9000");
    expect(await exchange("1010000001CC")).toBe("9000");
    expect(await exchange("0010000001DD00")).toBe("aabbccdd9000");
    expect(seen).toMatchObject([{ first: 1, last: 3 }]);
  });

  test("a command with another header drops the chain", async () => {
    const { exchange } = card();
    await exchange("1010000002AABB");
    expect(await exchange("0020000200")).toBe("00019000");
    expect(await exchange("0010000001DD00")).toBe("dd9000");
  });

  test("a malformed command drops the chain", async () => {
    const { exchange } = card();
    await exchange("1010000002AABB");
    expect(await exchange("00100000050102")).toBe("6700");
    expect(await exchange("0010000001DD00")).toBe("dd9000");
  });

  test("ends at 65,535 bytes", async () => {
    const { exchange } = card();
    const part = `10100000FF${"00".repeat(255)}`;
    for (let sent = 0; sent < 257; sent++) expect(await exchange(part)).toBe("9000");
    expect(await exchange("101000000100")).toBe("6700");
  });
});

describe("what a card refuses before it looks at the instruction", () => {
  test.each([
    ["nothing at all", "", "6700"],
    ["a header cut off", "00A404", "6700"],
    ["Lc without its data", "00100000020A", "6700"],
    ["an extended length on a card without them", "001000000000010A", "6700"],
    ["a proprietary class", "8010000000", "6e00"],
    ["secure messaging", "0C10000000", "6882"],
    ["a logical channel", "0110000000", "6881"],
    ["GET RESPONSE with parameters", "00C0010000", "6a86"],
    ["GET RESPONSE with data", "00C000000100", "6700"],
  ])("%s", async (_what, command, status) => {
    expect(await card().exchange(command)).toBe(status);
  });
});

test("whatever the bytes and their order, each gets a status word", async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 20 }),
    fc.uint8Array({ maxLength: 8 }).map((tail) => concat(fromHex("10100000"), tail)),
    fc.uint8Array({ maxLength: 8 }).map((tail) => concat(fromHex("00C00000"), tail)),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(bytes, { maxLength: 8 }), fc.boolean(), async (commands, extended) => {
      const { exchange } = card(extended);
      for (const command of commands) expect(await exchange(toHex(command))).toMatch(/^(..)*[69]...$/u);
    }),
  );
});
