import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { berLength, berToDer, DerReader, encodeDer, TAG } from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { shareOf } from "../seeded-random.ts";

const der = (hex: string): string => toHex(berToDer(fromHex(hex)).der);

describe("BER", () => {
  test.each([
    ["an indefinite length", "3080 0401aa 0000", "30030401aa"],
    ["nested ones", "3080 a080 0401aa 0000 0000", "3005a0030401aa"],
    ["a length longer than it need be", "3083000004 0482 0000", "30020400"],
    ["an octet string in segments", "2480 0401aa 0402bbcc 0000", "0403aabbcc"],
    ["segments of segments", "2408 2403 0401aa 0401bb", "0402aabb"],
    ["a UTF-8 string in segments", "2c80 0c0141 0c0142 0000", "0c024142"],
    ["a UTF-8 string in segments of octets", "2c06 040141 040142", "0c024142"],
    ["a PrintableString in segments", "3306 130141 130142", "13024142"],
    ["an IA5String in segments", "3606 160141 160142", "16024142"],
    ["a zero byte that ends nothing", "3080 0001aa 0000", "30030001aa"],
    ["a bit string in segments", "2309 0302 00aa 0303 04bbf0", "030404aabbf0"],
    ["a true that is not FF", "010101", "0101ff"],
    ["bits behind the end of a bit string", "030206ff", "030206c0"],
    ["a tag of two bytes", "7f49 80 8101aa 0000", "7f49038101aa"],
  ])("%s becomes DER", (_, ber, expected) => {
    expect(der(ber)).toBe(expected);
  });

  test("segments of more than 127 bytes become one string", () => {
    const segment = (length: number): Uint8Array => encodeDer(TAG.OCTET_STRING, new Uint8Array(length).fill(length));
    const ber = encodeDer(TAG.OCTET_STRING | 0x20, segment(200), segment(300), segment(1));
    const octets = concat(new Uint8Array(200).fill(200), new Uint8Array(300).fill(300), Uint8Array.of(1));
    expect(berToDer(ber).der).toEqual(encodeDer(TAG.OCTET_STRING, octets));
  });

  test.each([
    ["a boolean of two bytes", "01020100"],
    ["nine unused bits", "030209ff"],
    ["unused bits of nothing", "030105"],
    ["an INTEGER that is too long", "02020001"],
  ])("%s is no freedom of BER's and stays as it is, for others to refuse", (_, ber) => {
    expect(der(ber)).toBe(ber);
  });

  test("tells how many bytes the element took where it stood", () => {
    expect(berToDer(fromHex("ffff 3080 0401aa 0000 00ff"), 2)).toEqual({ der: fromHex("30030401aa"), length: 7 });
  });

  test.each([
    ["nothing", "", "cut off at 0"],
    ["a length without its bytes", "3082", "cut off at 2"],
    ["a length beyond the end", "0405aabb", "5 bytes at 2, 2 left"],
    ["a length of many bytes beyond the end", "0488ffffffffffffffff aabb", "a length beyond the end at 0"],
    ["an inner length beyond the outer one", "3003 0402aa bb", "2 bytes at 4, 1 left"],
    ["an indefinite length without an end", "3080 0401aa", "cut off at 5"],
    ["an end that is beyond the outer one", "3004 2480 0400 0000", "cut off at 6"],
    ["a primitive element of indefinite length", "0480 aa 0000", "a primitive element without a length at 0"],
    ["a length octet FF", "30ff", "length octet FF at 1"],
    ["a tag of five bytes", "7f81818101 00", "a tag of more than 4 bytes at 0"],
    ["a segment of another type", "2403 0c01aa", "a segment of another type"],
    ["a bit string of octet strings", "2303 0401aa", "a segment of another type"],
    ["a bit string with a gap", "2308 0302 04f0 0302 00aa", "a bit string with unused bits before its end"],
  ])("%s is refused", (_, ber, refusal) => {
    expect(() => der(ber)).toThrow(new DataError(`BER: ${refusal}`));
  });

  test("nests 16 levels and no more, whatever form the lengths have", () => {
    const nested = (levels: number): string => "3080".repeat(levels) + "0500" + "0000".repeat(levels);
    expect(der(nested(16))).toHaveLength(2 * (16 * 2 + 2));
    expect(() => der(nested(17))).toThrow("BER: more than 16 levels");
    expect(() => der("3080".repeat(100_000))).toThrow("BER: more than 16 levels");
  });

  test("what is DER comes back as it was", () => {
    const tree: fc.Arbitrary<Uint8Array> = fc.letrec<{ node: Uint8Array }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 4 },
        fc.uint8Array({ maxLength: 300 }).map((contents) => encodeDer(TAG.OCTET_STRING, contents)),
        fc.array(tie("node"), { maxLength: 4 }).map((nodes) => encodeDer(TAG.SEQUENCE, ...nodes)),
      ),
    })).node;
    fc.assert(
      fc.property(tree, fc.uint8Array(), (element, rest) => {
        expect(berToDer(concat(element, rest))).toEqual({ der: element, length: element.length });
      }),
    );
  });

  test("any bytes are an element or a DataError, and an element is DER", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          const { der: element, length } = berToDer(bytes);
          expect(length).toBeLessThanOrEqual(bytes.length);
          if (((element[0] ?? 0) & 0x1f) !== 0x1f) new DerReader(element).next();
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: shareOf(2000) },
    );
  });
});

test("the length of an element, whatever is in it", () => {
  expect(berLength(fromHex("00 3082 0002 05ff 30"), 1)).toBe(6);
  expect(berLength(fromHex("3080 0000"))).toBeUndefined();
  expect(() => berLength(fromHex("3003 0101"))).toThrow("BER: 3 bytes at 2, 2 left");
});
