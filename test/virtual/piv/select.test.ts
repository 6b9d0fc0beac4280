import { describe, expect, test } from "@jest/globals";
import { findTlv, readTlvs } from "../../../src/apdu/index.ts";
import { fromHex, toHex } from "../../../src/bytes/index.ts";
import { exchange, send } from "../exchange.ts";
import { testCard } from "../keys.ts";

const TEMPLATE = "61114F0600001000010079074F05A0000003089000";

describe("SELECT (SP 800-73-4 part 2 section 3.1.1)", () => {
  test.each([
    ["in full", "00A404000BA00000030800001000010000"],
    ["without version", "00A4040009A0000003080000100000"],
    ["by its RID", "00A4040005A00000030800"],
  ])("by name %s answers the application property template", async (_how, command) => {
    const card = await testCard({ defaultSelected: false });
    expect(await exchange(card, "00CB3FFF055C035FC10200")).toBe("6D00");
    expect(await exchange(card, command)).toBe(TEMPLATE);
    expect(await exchange(card, "00CB3FFF035C017E00")).toMatch(/^7E12.*9000$/u);
    card.reset();
    expect(await exchange(card, "00CB3FFF035C017E00")).toBe("6D00");
  });

  test("selecting an application that is not here leaves PIV selected and the PIN verified", async () => {
    const card = await testCard();
    await exchange(card, "0020008008313233343536FFFF");
    expect(await exchange(card, "00A4040006D2760001240100")).toBe("6A82");
    expect(await exchange(card, "00A404000CA0000003080000100001000000")).toBe("6A82");
    expect(await exchange(card, "00200080")).toBe("9000");
    expect(await exchange(card, "00A40000023F0000")).toBe("6A86");
  });

  test("PIV is selected after reset by default", async () => {
    const card = await testCard();
    expect(await exchange(card, "00CB3FFF035C017E00")).toMatch(/9000$/u);
  });
});

describe("the answer to reset", () => {
  test.each([
    [false, "80"],
    [true, "C0"],
  ])("with extended length %s says so in the card capabilities", async (extended, third) => {
    const { atr } = await testCard({ extended });
    expect(atr.length).toBeLessThanOrEqual(33);
    const historical = atr.subarray(3, 3 + ((atr[1] ?? 0) & 0x0f));
    expect(toHex(historical).toUpperCase()).toMatch(new RegExp(`^8073C001${third}`, "u"));
    expect(atr.subarray(1).reduce((sum, byte) => sum ^ byte, 0)).toBe(0);
  });
});

describe("GET DATA (SP 800-73-4 part 2 section 3.1.2)", () => {
  test("hands out a certificate in 256-byte parts, four of them for RSA-2048, three for P-256", async () => {
    const card = await testCard();
    for (const [tag, parts] of [
      ["5FC105", 4],
      ["5FC10A", 3],
    ] as const) {
      let answer = await exchange(card, `00CB3FFF055C03${tag}00`);
      let count = 1;
      for (; answer.slice(-4).startsWith("61"); count++) answer = await exchange(card, "00C0000000");
      expect(count).toBe(parts);
      expect(answer).toMatch(/9000$/u);
    }
  });

  test("gives an extended command the whole object at once", async () => {
    const card = await testCard({ extended: true });
    const answer = await exchange(card, "00CB3FFF0000055C035FC1050000");
    expect(answer).toMatch(/^538203.*9000$/u);
    expect(await exchange(await testCard(), "00CB3FFF0000055C035FC1050000")).toBe("6700");
  });

  test("wraps what it gives as the object asks", async () => {
    const card = await testCard();
    expect(await exchange(card, "00CB3FFF035C017E00")).toBe("7E124F0BA0000003080000100001005F2F0240009000");
    const chuid = await send(card, { cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data: fromHex("5C035FC102"), ne: 256 });
    const fields = readTlvs(findTlv(readTlvs(chuid.data), 0x53) ?? new Uint8Array());
    expect(fields.map(({ tag }) => tag)).toEqual([0x30, 0x34, 0x35, 0x3e, 0xfe]);
    expect(fields.map(({ value }) => value.length)).toEqual([25, 16, 8, 0, 0]);
  });

  test("6A82 where nothing is, and for unknown tags", async () => {
    const card = await testCard();
    for (const tag of ["5FC106", "5FC10C", "5FC122", "5FC199"]) {
      expect(await exchange(card, `00CB3FFF055C03${tag}00`)).toBe("6A82");
    }
  });

  test.each(["5FC103", "5FC108", "5FC109", "5FC121"])("reads %s only after the PIN", async (tag) => {
    const content = fromHex("BC0101FE00");
    const card = await testCard({ objects: new Map([[Number.parseInt(tag, 16), content]]) });
    expect(await exchange(card, `00CB3FFF055C03${tag}00`)).toBe("6982");
    await exchange(card, "0020008008313233343536FFFF");
    expect(await exchange(card, `00CB3FFF055C03${tag}00`)).toBe("5305BC0101FE009000");
    card.reset();
    expect(await exchange(card, `00CB3FFF055C03${tag}00`)).toBe("6982");
  });

  test.each([
    ["other parameters", "00CB3F00055C035FC10200", "6A86"],
    ["no tag list", "00CB3FFF0353015F00", "6A80"],
    ["an empty tag list", "00CB3FFF025C0000", "6A80"],
    ["a tag of four bytes", "00CB3FFF065C045FC1020000", "6A80"],
    ["a length that lies", "00CB3FFF035C035F00", "6A80"],
    ["no data", "00CB3FFF00", "6A80"],
  ])("refuses %s", async (_what, command, status) => {
    expect(await exchange(await testCard(), command)).toBe(status);
  });
});
