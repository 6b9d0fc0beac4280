import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError, fromHex, toHex } from "../../src/bytes/index.ts";

describe("hexadecimal", () => {
  test("reads back what it wrote", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(fromHex(toHex(bytes))).toEqual(bytes);
      }),
    );
  });

  test("takes spaces, colons and capitals", () => {
    expect(fromHex("A0:00 00\n03:08")).toEqual(Uint8Array.of(0xa0, 0, 0, 3, 8));
  });

  test.each([
    ["0", "not whole bytes: 1 hexadecimal digits"],
    ["abc", "not whole bytes: 3 hexadecimal digits"],
    ["0g", "not hexadecimal: a character other than 0-9 and a-f"],
    ["0x00", "not hexadecimal: a character other than 0-9 and a-f"],
  ])("refuses %j", (text, message) => {
    expect(() => fromHex(text)).toThrow(new DataError(message));
  });
});
