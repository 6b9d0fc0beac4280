import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { encodeTlv, findTlv, readTlv, readTlvs } from "../../src/apdu/index.ts";
import { ByteReader, concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { shareOf } from "../seeded-random.ts";

/** Tags of one to four bytes as ISO/IEC 8825-1 section 8.1.2 forms them, without the padding bytes 00 and FF. */
const tag = fc
  .tuple(
    fc.nat(0xff).filter((first) => first !== 0x00 && first !== 0xff),
    fc.array(fc.nat(0x7f), { maxLength: 2 }),
    fc.nat(0x7f),
  )
  .map(([first, middle, last]) =>
    (first & 0x1f) === 0x1f ? [first, ...middle.map((octet) => octet | 0x80), last] : [first],
  )
  .map((octets) => octets.reduce((number, octet) => number * 256 + octet, 0));
const tlv = fc.record({ tag, value: fc.uint8Array({ maxLength: 300, size: "max" }) });

describe("BER-TLV", () => {
  test("data objects read back", () => {
    fc.assert(
      fc.property(fc.array(tlv, { maxLength: 6 }), (objects) => {
        const read = readTlvs(concat(...objects.map(({ tag, value }) => encodeTlv(tag, value))));
        expect(read.map(({ tag, value }) => [tag, toHex(value)])).toEqual(
          objects.map(({ tag, value }) => [tag, toHex(value)]),
        );
      }),
    );
  });

  test("any bytes decode or throw a DataError", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          const length = readTlvs(bytes).reduce((sum, { value }) => sum + value.length, 0);
          expect(length).toBeLessThanOrEqual(bytes.length);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: shareOf(1000) },
    );
  });

  test.each([
    [0, "5300"],
    [127, "537f"],
    [128, "538180"],
    [255, "5381ff"],
    [256, "53820100"],
    [65_536, "5383010000"],
  ])("a length of %d takes the fewest bytes", (length, head) => {
    const bytes = encodeTlv(0x53, new Uint8Array(length));
    expect(toHex(bytes.subarray(0, bytes.length - length))).toBe(head);
  });

  test("a value may come in parts", () => {
    expect(toHex(encodeTlv(0x7c, encodeTlv(0x82), encodeTlv(0x81, fromHex("0102"))))).toBe("7c068200810201" + "02");
  });

  test("padding around data objects is skipped", () => {
    expect(readTlvs(fromHex("0000 53015a ffff 70 00 00")).map((object) => object.tag)).toEqual([0x53, 0x70]);
  });

  test("a length may take more bytes than it needs", () => {
    expect(readTlvs(fromHex("5384000000015a"))).toEqual([{ tag: 0x53, value: fromHex("5a") }]);
  });

  test("the first object with a tag is found, and undefined if there is none", () => {
    const objects = readTlvs(fromHex("8001aa 8001bb"));
    expect(findTlv(objects, 0x80)).toEqual(fromHex("aa"));
    expect(findTlv(objects, 0x81)).toBeUndefined();
  });

  test("one object is read, and the reader stays behind it", () => {
    const reader = new ByteReader(fromHex("5c035fc10553"));
    expect(readTlv(reader).tag).toBe(0x5c);
    expect(reader.remaining).toBe(1);
  });

  test.each([
    ["a value cut off", "53025a", "2 bytes needed at 2, 1 left"],
    ["a length cut off", "5382ff", "2 bytes needed at 2, 1 left"],
    ["no length", "53", "1 bytes needed at 1, 0 left"],
    ["a tag cut off", "5f", "1 bytes needed at 1, 0 left"],
    ["an indefinite length", "5380", "length byte 128 at 1"],
    ["a length of five bytes", "538500000000015a", "length byte 133 at 1"],
    ["a length beyond all memory", "5384ffffffff", "4294967295 bytes needed at 6, 0 left"],
    ["a tag of five bytes", "5f8181818101", "a tag of more than 4 bytes at 4"],
  ])("refuses %s", (_, hex, message) => {
    expect(() => readTlvs(fromHex(hex))).toThrow(new DataError(`BER-TLV: ${message}`));
  });

  test.each([
    [0x00, "BER-TLV: 0 is not a valid tag"],
    [0xff, "BER-TLV: 255 is not a valid tag"],
    [0x1f, "BER-TLV tag: 1 bytes needed at 1, 0 left"],
    [0x5301, "BER-TLV: 21249 is not a valid tag"],
    [0x5f81, "BER-TLV tag: 1 bytes needed at 2, 0 left"],
    [0x5f8181818101, "BER-TLV tag: a tag of more than 4 bytes at 4"],
    [-1, "BER-TLV: -1 is not a valid tag"],
    [1.5, "BER-TLV: 1.5 is not a valid tag"],
    [Number.NaN, "BER-TLV: NaN is not a valid tag"],
  ])("refuses to write tag %d", (tag, message) => {
    expect(() => encodeTlv(tag)).toThrow(new DataError(message));
  });
});
