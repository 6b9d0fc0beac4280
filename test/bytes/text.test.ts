import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { countUtf8, DataError, fromUtf8, utf8 } from "../../src/bytes/index.ts";
import { shareOf } from "../seeded-random.ts";

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
    expect(() => countUtf8(Uint8Array.from(octets))).toThrow("not UTF-8");
  });

  test("is counted as it is decoded, and refused as it is", () => {
    const text = fc.string({ unit: "binary", maxLength: 4 }).map(utf8);
    // Bytes at the bounds of what RFC 3629 allows.
    const edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xee, 0xef];
    const noise = fc.array(fc.constantFrom(...edges, 0xf0, 0xf1, 0xf4, 0xf5, 0xff), { maxLength: 5 });
    const decoded = (bytes: Uint8Array): number | string => {
      try {
        return Array.from(fromUtf8(bytes)).length;
      } catch (error) {
        return error instanceof DataError ? error.message : "another error";
      }
    };
    const counted = (bytes: Uint8Array): number | string => {
      try {
        return countUtf8(bytes);
      } catch (error) {
        return error instanceof DataError ? error.message : "another error";
      }
    };
    fc.assert(
      fc.property(text, noise, text, (before, octets, after) => {
        const bytes = Uint8Array.from([...before, ...octets, ...after]);
        expect(counted(bytes)).toBe(decoded(bytes));
      }),
      { numRuns: shareOf(5000) },
    );
  });
});
