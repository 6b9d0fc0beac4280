import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { fromUtf8, utf8 } from "../../src/bytes/index.ts";

describe("UTF-8", () => {
  test("reads back what it wrote", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => fromUtf8(utf8(text)) === text));
  });

  test("keeps a byte order mark", () => {
    expect(fromUtf8(Uint8Array.of(0xef, 0xbb, 0xbf, 0x41))).toBe("\ufeffA");
  });

  test.each([
    ["a lone continuation byte", [0x80]],
    ["a cut-off sequence", [0xe2, 0x82]],
    ["an overlong form", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
  ])("refuses %s", (_, octets) => {
    expect(() => fromUtf8(Uint8Array.from(octets))).toThrow(/^not UTF-8$/u);
  });
});
