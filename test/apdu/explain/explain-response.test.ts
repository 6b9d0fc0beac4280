import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { explainResponse } from "../../../src/apdu/index.ts";
import { concat, fromHex } from "../../../src/bytes/index.ts";
import { shareOf } from "../../seeded-random.ts";

const details = (command: string, answer: string): readonly string[] =>
  explainResponse(fromHex(command), fromHex(answer)).details;
const SELECT = "00a4040009a0000003080000100000";
const getData = (tag: string): string => `00cb3fff${tag.length === 2 ? "035c01" : "055c03"}${tag}00`;

describe("answers in words", () => {
  test("the application property template of PIV", () => {
    expect(details(SELECT, "611c4f0600001000010079074f05a0000003085004504956 20ac03800107 9000")).toEqual([
      "61 application property template, 28 bytes",
      "  4F application identifier, 6 bytes: 000010000100",
      "  79 coexistent tag allocation authority, 7 bytes",
      "    4F application identifier, 5 bytes: A000000308",
      '  50 application label, 4 bytes: "PIV "',
      "  AC cryptographic algorithms, 3 bytes",
      "    80 algorithm, 1 byte: 07",
    ]);
  });

  test("file control information", () => {
    expect(details("00a40000023f00", "6f0a8302 3f00 8201388a01059000")).toEqual([
      "6F file control information, 10 bytes",
      "  83 file identifier, 2 bytes: 3F00",
      "  82 file descriptor, 1 byte: 38",
      "  8A life cycle status, 1 byte: 05",
    ]);
  });

  test("the discovery object", () => {
    expect(details(getData("7e"), "7e0a4f03a00000 5f2f0240009000")).toEqual([
      "7E discovery object, 10 bytes",
      "  4F application identifier, 3 bytes: A00000",
      "  5F2F PIN usage policy, 2 bytes: 4000",
    ]);
  });

  test("a certificate, which is not looked into", () => {
    expect(details(getData("5fc105"), "530a7003300101710100fe009000")).toEqual([
      "53 data object, 10 bytes",
      "  70 certificate, 3 bytes: 300101",
      "  71 certificate information: 00 plain, 01 compressed, 1 byte: 00",
      "  FE error detection code, 0 bytes",
    ]);
  });

  test("the first part of a long answer", () => {
    expect(details(getData("5fc105"), `5382040070820300${"30".repeat(40)}6100`)).toEqual([
      "53 data object, 1024 bytes, 44 here",
      `  70 certificate, 768 bytes, 40 here: "${"0".repeat(32)}"...`,
    ]);
  });

  test("a public key", () => {
    expect(details("0047009a05ac0380011100", "7f490486020401 9000")).toEqual([
      "7F49 public key, 4 bytes",
      "  86 public point, 2 bytes: 0401",
    ]);
  });

  test("any other BER-TLV by its tags, and any other bytes as they are", () => {
    expect(details("00ca006e00", "6e044f02aabb9000")).toEqual(["6E unknown, 4 bytes", "  4F unknown, 2 bytes: AABB"]);
    expect(details("00b0000000", "5380019000")).toEqual(["3 bytes: 538001"]);
    expect(details("00b0000000", "530101 5f 9000")).toEqual(["4 bytes: 5301015F"]);
    expect(details("00b0000000", "000000 9000")).toEqual(["3 bytes: 000000"]);
  });

  test("padding is passed over", () => {
    expect(details("00b0000000", "530101 000000 ffff 9000")).toEqual(["53 unknown, 1 byte: 01"]);
  });

  test("the status word", () => {
    expect(explainResponse(fromHex("00200080"), fromHex("63c2"))).toMatchObject({
      status: { name: "not verified, 2 tries left" },
      details: [],
    });
    expect(explainResponse(fromHex("00200080"), fromHex("63")).status).toBeUndefined();
  });

  test.each([
    ["a decrypted secret", "002a80860300010200", "800101aa9000"],
    ["a shared secret", "0087119d047c02820000", "7c038201aa9000"],
    ["what GET RESPONSE collected", "00c0000005", "7c038201aa9000"],
  ])("%s is not shown", (_, command, answer) => {
    expect(details(command, answer)).toEqual(["data concealed"]);
  });
});

describe("a hostile answer", () => {
  test("nested without end is cut at a depth", () => {
    const nested = Array.from({ length: 60 }, (_, depth) => [0x30, 118 - 2 * depth]).flat();
    const { details } = explainResponse(fromHex("00ca006e00"), Uint8Array.of(...nested, 0x90, 0));
    expect(details.length).toBeLessThanOrEqual(8);
  });

  test("of many small objects is cut at a number", () => {
    const many = concat(...Array.from({ length: 30_000 }, () => Uint8Array.of(0x80, 0)), Uint8Array.of(0x90, 0));
    expect(explainResponse(fromHex("00ca006e00"), many).details.length).toBeLessThanOrEqual(201);
  });

  test("any bytes at all are explained", () => {
    const command = fc
      .constantFrom(SELECT, getData("5fc102"), getData("7e"), "00b0000000", "0087119a", "00", "")
      .map(fromHex);
    fc.assert(
      fc.property(command, fc.uint8Array({ maxLength: 60 }), (sent, answer) => {
        expect(Array.isArray(explainResponse(sent, answer).details)).toBe(true);
      }),
      { numRuns: shareOf(1000) },
    );
  });
});
