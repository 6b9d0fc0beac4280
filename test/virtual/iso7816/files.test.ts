import { beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import type { VirtualPkcs15Card } from "../../../src/virtual/index.ts";
import { exchange } from "../exchange.ts";
import { testPkcs15Card } from "../keys.ts";
import { shareOf } from "../../seeded-random.ts";

const AID = "A000000063504B43532D3135";
const VERIFY = "0020000108313233343536FFFF";

let card: VirtualPkcs15Card;
beforeEach(async () => (card = await testPkcs15Card()));
const say = (command: string): Promise<string> => exchange(card, command);

describe("SELECT (ISO/IEC 7816-4 section 11.1.1)", () => {
  test.each([
    ["an identifier", ["00A4000C023F00", "00A4000C025015", "00A4000C025031"]],
    ["a path", ["00A4080C0450155031"]],
    ["a name", [`00A4040C0C${AID}`, "00A4020C025031"]],
    ["a name cut off", ["00A4040C05A000000063", "00A4020C025031"]],
    ["a path from the current directory", [`00A4040C0C${AID}`, "00A4090C025031"]],
    ["a file beside the current one", ["00A4080C0450155032", "00A4000C025031"]],
    ["the parent", ["00A4080C0450155031", "00A4030C", "00A4000C022F00"]],
  ])("finds a file by %s", async (_, commands) => {
    for (const command of commands) expect(await say(command)).toBe("9000");
    expect(await say("00B0000001")).toMatch(/^..9000$/u);
  });

  test("tells of a file what is asked: FCI, FCP or nothing", async () => {
    const fields = "8002008082010183022F0086030FFFFF8A0105";
    expect(await say("00A40000022F0000")).toBe(`6F${length(fields)}${fields}9000`);
    expect(await say("00A40004022F0000")).toBe(`62${length(fields)}${fields}9000`);
    expect(await say("00A4000C022F00")).toBe("9000");
    expect(await say("00A4001C022F00")).toBe("6A86");
  });

  test("what is not there leaves all as it was", async () => {
    await say("00A4080C0450155031");
    expect(await say("00A4000C021234")).toBe("6A82");
    expect(await say("00A4080C0412345678")).toBe("6A82");
    expect(await say("00A4040C051122334455")).toBe("6A82");
    expect(await say("00B0000001")).toMatch(/^A89000$/u);
  });
});

describe("READ, UPDATE and ERASE BINARY", () => {
  test("give and take what the rules of the file allow", async () => {
    await say("00A4080C0450154601");
    expect(await say("00D6000002AABB")).toBe("6982");
    await say(VERIFY);
    expect(await say("00D6000002AABB")).toBe("9000");
    expect(await say("00B0000003")).toBe("AABB699000");
    expect(await say("000E0001")).toBe("9000");
    expect(await say("00B0000003")).toBe("AA00009000");
  });

  test("never write past the end, nor read from there", async () => {
    await say("00A4080C0450154601");
    await say(VERIFY);
    expect(await say("00D6002F02AABB")).toBe("6B00");
    expect(await say("00B0003101")).toBe("6B00");
    expect(await say("00B0002F00")).toMatch(/^..9000$/u);
    expect(await say("00B0003001")).toBe("6282");
    expect(await say("00B0003000")).toBe("6282");
  });

  test("a file behind a PIN is read after that PIN only", async () => {
    await say("00A4080C0450154603");
    await say(VERIFY);
    expect(await say("00B0000001")).toBe("6982");
    expect(await say("0020000208363534333231FFFF")).toBe("9000");
    expect(await say("00B0000004")).toBe("4F6E6C799000");
  });

  test("a key is no file to read", async () => {
    await say("00A4080C0450154B01");
    expect(await say("00B0000001")).toBe("6981");
  });
});

describe("CREATE and DELETE FILE (ISO/IEC 7816-9 section 6)", () => {
  beforeEach(() => say(`00A4040C0C${AID}`));

  test("need the PIN; the new file is the current one", async () => {
    const parameters = "8002001082010183026C008603011FFF";
    expect(await create(parameters)).toBe("6982");
    await say(VERIFY);
    expect(await create(parameters)).toBe("9000");
    expect(await say("00D6000001AA")).toBe("9000");
    expect(await create(parameters)).toBe("6A89");
    expect(await say("00E40000026C00")).toBe("9000");
    expect(await say("00A4000C026C00")).toBe("6A82");
  });

  test("a record file takes records by number or by its short identifier", async () => {
    await say(VERIFY);
    expect(await create("82010483026C01860300FFFF880108")).toBe("9000");
    expect(await say("00DC010403AABBCC")).toBe("9000");
    expect(await say("00DC020C01DD")).toBe("9000");
    expect(await say("00B2010400")).toBe("AABBCC9000");
    expect(await say("00B2020C00")).toBe("DD9000");
    expect(await say("00B2030400")).toBe("6A83");
  });

  test("the card is full at some time", async () => {
    await say(VERIFY);
    const answers: string[] = [];
    for (let id = 0x6c00; id < 0x6c10; id++) answers.push(await create(`8002F0008201018302${id.toString(16)}`));
    expect(answers[0]).toBe("9000");
    expect(answers.at(-1)).toBe("6A84");
  });
});

/** CREATE FILE with these file control parameters. */
const create = (fields: string): Promise<string> =>
  say(`00E00000${length(`6200${fields}`)}62${length(fields)}${fields}`);

test("whatever the bytes are, a status word answers them", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(
        0x0e,
        0x20,
        0x22,
        0x24,
        0x2a,
        0x2c,
        0x2e,
        0x84,
        0x86,
        0xa4,
        0xb0,
        0xb2,
        0xca,
        0xd6,
        0xdc,
        0xe0,
        0xe4,
      ),
      fc.uint8Array({ minLength: 2, maxLength: 40 }),
      async (ins, rest) => {
        const answer = await card.transmit(Uint8Array.of(0x00, ins, ...rest));
        expect(answer.length).toBeGreaterThanOrEqual(2);
        expect(answer.at(-2)).not.toBe(0x6f);
      },
    ),
    { numRuns: shareOf(500) },
  );
});

/** The length byte of hexadecimal bytes. */
const length = (hex: string): string => (hex.length / 2).toString(16).padStart(2, "0").toUpperCase();
