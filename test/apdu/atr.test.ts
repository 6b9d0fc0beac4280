import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { parseAtr, parseHistoricalBytes, readCardCapabilities, supportsExtendedLength } from "../../src/apdu/index.ts";
import { DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { shareOf } from "../seeded-random.ts";

const YUBIKEY_5 = fromHex("3bfd1300008131fe158073c021c057597562694b657940");
const T0_ONLY = fromHex("3b6800000073c84011009000");
const JAVA_CARD = fromHex("3b80800101");

/** `bytes` with TCK, which makes the exclusive-or of all after TS zero. */
const withChecksum = (hex: string): Uint8Array => {
  const bytes = fromHex(hex);
  return Uint8Array.of(
    ...bytes,
    bytes.subarray(1).reduce((sum, octet) => sum ^ octet, 0),
  );
};

describe("an answer to reset", () => {
  test("of T=1 with historical bytes and check character", () => {
    const atr = parseAtr(YUBIKEY_5);
    expect(atr).toMatchObject({ convention: "direct", protocols: [1], checksum: "correct" });
    expect(atr.interfaceBytes.map(({ name, value }) => `${name} ${value.toString(16)}`)).toEqual([
      "TA1 13",
      "TB1 0",
      "TC1 0",
      "TD1 81",
      "TD2 31",
      "TA3 fe",
      "TB3 15",
    ]);
    expect(toHex(atr.historicalBytes)).toBe("8073c021c057597562694b6579");
    expect(atr).not.toHaveProperty("specificProtocol");
  });

  test("of T=0 alone has no check character", () => {
    expect(parseAtr(T0_ONLY)).toMatchObject({ protocols: [0], checksum: "not needed" });
  });

  test("of T=0 and T=1 offers both, the first one preferred", () => {
    expect(parseAtr(JAVA_CARD)).toMatchObject({ protocols: [0, 1], checksum: "correct" });
  });

  test("in specific mode names the one protocol", () => {
    // TD1 announces TA2, which says T=1; T=15 in TD2 is no protocol.
    const atr = parseAtr(withChecksum("3b80 91 81 1f 00"));
    expect(atr).toMatchObject({ protocols: [1], specificProtocol: 1 });
  });

  test("in inverse convention", () => {
    expect(parseAtr(fromHex("3f00")).convention).toBe("inverse");
  });

  test("may lack the check character, as some cards do", () => {
    expect(parseAtr(YUBIKEY_5.subarray(0, -1)).checksum).toBe("missing");
  });

  test("may have one that it does not need", () => {
    expect(parseAtr(withChecksum("3b021450")).checksum).toBe("correct");
  });

  test.each([
    ["nothing", "", "1 bytes needed at 0, 0 left"],
    ["one byte", "3b", "1 bytes needed at 1, 0 left"],
    ["another first byte", "3a00", "begins with 58, not with 3B or 3F"],
    ["interface bytes cut off", "3b90", "1 bytes needed at 2, 0 left"],
    ["a chain of TD without end", `3b80${"80".repeat(31)}`, "1 bytes needed at 33, 0 left"],
    ["historical bytes cut off", "3b0380", "3 bytes needed at 2, 1 left"],
    ["a wrong check character", "3b80800102", "wrong check character"],
    ["bytes after the end", "3b8080010100", "1 bytes too many at 5"],
    ["34 bytes", `3b${"00".repeat(33)}`, "34 bytes; the limit is 33"],
  ])("is none: %s", (_, hex, message) => {
    expect(() => parseAtr(fromHex(hex))).toThrow(new DataError(`ATR: ${message}`));
  });

  test("any bytes parse or throw a DataError", () => {
    const plausible = fc
      .tuple(fc.constantFrom(0x3b, 0x3f, 0x00), fc.uint8Array({ maxLength: 34 }))
      .map(([first, rest]) => Uint8Array.of(first, ...rest));
    fc.assert(
      fc.property(plausible, (bytes) => {
        expect(typeof supportsExtendedLength(bytes)).toBe("boolean");
        try {
          expect(parseAtr(bytes).protocols.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: shareOf(1000) },
    );
  });
});

describe("historical bytes", () => {
  test("tell the card's capabilities", () => {
    const { category, capabilities } = parseHistoricalBytes(parseAtr(YUBIKEY_5).historicalBytes);
    expect(category).toBe("compact-TLV");
    expect(capabilities).toEqual({
      selectBy: ["full DF name", "partial DF name"],
      implicitSelection: false,
      shortFileIdentifiers: false,
      recordNumbers: false,
      dataUnit: 1,
      commandChaining: true,
      extendedLength: true,
      extendedLengthInfo: false,
      logicalChannels: 1,
    });
  });

  test("end with a status if they begin with 00", () => {
    const bytes = parseHistoricalBytes(fromHex("00 31c0 6141 5142 079000"));
    expect(bytes.category).toBe("compact-TLV with status");
    expect(toHex(bytes.status ?? new Uint8Array())).toBe("079000");
    expect(toHex(bytes.preIssuingData ?? new Uint8Array())).toBe("41");
    expect(toHex(bytes.issuerData ?? new Uint8Array())).toBe("42");
    expect(bytes.serviceData).toEqual({
      selectByFullName: true,
      selectByPartialName: true,
      efDir: false,
      efAtr: false,
      access: "READ RECORD",
      masterFile: true,
    });
  });

  test("carry the status as a data object otherwise", () => {
    expect(toHex(parseHistoricalBytes(fromHex("80829000")).status ?? new Uint8Array())).toBe("9000");
  });

  test.each([
    ["", "none"],
    ["10", "DIR reference"],
    ["4a434f50", "proprietary"],
  ])("%j: %s", (hex, category) => {
    expect(parseHistoricalBytes(fromHex(hex)).category).toBe(category);
  });

  test.each([
    ["8073c021", "historical bytes: 3 bytes needed at 1, 2 left"],
    ["00", "historical bytes: status indicator cut off"],
    ["009000", "historical bytes: status indicator cut off"],
    ["8070", "card capabilities: 0 bytes, 1 to 3 wanted"],
    ["807411223344", "card capabilities: 4 bytes, 1 to 3 wanted"],
  ])("%j do not parse", (hex, message) => {
    expect(() => parseHistoricalBytes(fromHex(hex))).toThrow(new DataError(message));
  });

  test("capabilities of one byte say nothing about lengths", () => {
    expect(readCardCapabilities(fromHex("80"))).toEqual({
      selectBy: ["full DF name"],
      implicitSelection: false,
      shortFileIdentifiers: false,
      recordNumbers: false,
    });
  });
});

describe("extended length", () => {
  test.each<[string, Uint8Array, boolean]>([
    ["a card that says so", YUBIKEY_5, true],
    ["a card that says no more than chaining", withChecksum("3b85800180 73c00180"), false],
    ["a card without historical bytes", JAVA_CARD, false],
    [
      "historical bytes that do not parse (PC/SC part 3: storage card)",
      withChecksum("3b8f8001804f0ca000000306030001000000" + "00"),
      false,
    ],
    ["an empty ATR", new Uint8Array(), false],
  ])("%s", (_, atr, expected) => {
    expect(supportsExtendedLength(atr)).toBe(expected);
  });
});
