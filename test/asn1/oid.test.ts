import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeOid, encodeOid } from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";

describe("object identifiers", () => {
  // X.690 section 8.19.5 (2.999.3), RFC 8017 appendix A.1 (rsaEncryption), RFC 5480 section 2.1.1.1 (secp256r1).
  test.each([
    ["2.999.3", "883703"],
    ["1.2.840.113549.1.1.1", "2a864886f70d010101"],
    ["1.2.840.10045.3.1.7", "2a8648ce3d030107"],
    ["0.39", "27"],
    ["1.0", "28"],
    ["2.0", "50"],
  ])("%s is %s", (dotted, hex) => {
    expect(toHex(encodeOid(dotted))).toBe(hex);
    expect(decodeOid(fromHex(hex))).toBe(dotted);
  });

  test("every one reads back, arcs of 128 bits (UUIDs under 2.25) too", () => {
    const first = fc.tuple(fc.integer({ min: 0, max: 1 }), fc.bigInt({ min: 0n, max: 39n }));
    const second = fc.tuple(fc.constant(2), fc.bigInt({ min: 0n, max: 2n ** 126n }));
    const rest = fc.array(fc.bigInt({ min: 0n, max: 2n ** 126n }), { maxLength: 4 });
    fc.assert(
      fc.property(fc.oneof(first, second), rest, (head, tail) => {
        const dotted = [...head, ...tail].join(".");
        expect(decodeOid(encodeOid(dotted))).toBe(dotted);
      }),
    );
  });

  test("contents that are read are what would be written", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), (bytes) => {
        let dotted;
        try {
          dotted = decodeOid(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
          return;
        }
        expect(encodeOid(dotted)).toEqual(bytes);
      }),
    );
  });

  test.each([
    "",
    "1",
    "3.1",
    "1.2.",
    "1..2",
    "01.2",
    "1.02",
    "1.-2",
    "1.2 ",
    "a.b",
    `1.2${".1".repeat(64)}`,
    `1.2.${"9".repeat(40)}`,
  ])("refuses %j", (dotted) => {
    expect(() => encodeOid(dotted)).toThrow(new DataError("not a dotted object identifier"));
  });

  test.each(["0.40", "1.40"])("refuses %s, whose second arc is only for those under 2", (dotted) => {
    expect(() => encodeOid(dotted)).toThrow(new DataError("object identifier: the second arc is 40 or more"));
  });

  test("is 128 bytes long at most, written and read", () => {
    // Nine arcs of 91 bits take 13 bytes each, one of 64 bits takes 10, and the first two arcs take one together.
    const arc = (2n ** 90n).toString();
    const longest = ["1.2", ...new Array<string>(9).fill(arc), (2n ** 63n).toString()].join(".");
    expect(encodeOid(longest)).toHaveLength(128);
    expect(decodeOid(encodeOid(longest))).toBe(longest);
    expect(() => encodeOid(`${longest}.1`)).toThrow(new DataError("object identifier: too long"));
    expect(() => decodeOid(concat(encodeOid(longest), Uint8Array.of(1)))).toThrow(
      new DataError("OBJECT IDENTIFIER: 129 bytes"),
    );
  });

  test.each([
    ["", "0 bytes"],
    ["80", "an arc begins with a zero digit"],
    ["2a80", "an arc begins with a zero digit"],
    ["8001", "an arc begins with a zero digit"],
    ["2a8001", "an arc begins with a zero digit"],
    ["2a8648ce", "the last arc is cut off"],
    ["01".repeat(129), "129 bytes"],
  ])("refuses the contents %s", (hex, refusal) => {
    expect(() => decodeOid(fromHex(hex))).toThrow(new DataError(`OBJECT IDENTIFIER: ${refusal}`));
  });
});
