import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { ByteReader, DataError, fromHex } from "../../src/bytes/index.ts";

describe("a byte reader", () => {
  test("reads numbers in both byte orders", () => {
    const reader = new ByteReader(fromHex("01 0203 04050607 0809 8a8b8c8d"));
    expect(reader.u8()).toBe(0x01);
    expect(reader.u16()).toBe(0x0203);
    expect(reader.u32()).toBe(0x04050607);
    expect(reader.u16le()).toBe(0x0908);
    expect(reader.u32le()).toBe(0x8d8c8b8a);
    expect(reader.peek()).toBeUndefined();
    reader.end();
  });

  test("starts where a view starts", () => {
    const reader = new ByteReader(fromHex("ffff01020304ffff").subarray(2, 6));
    expect(reader.u16()).toBe(0x0102);
    expect([...reader.rest()]).toEqual([3, 4]);
  });

  test("looks ahead without moving", () => {
    const reader = new ByteReader(fromHex("2a2b"));
    expect(reader.peek()).toBe(0x2a);
    expect(reader.offset).toBe(0);
    expect(reader.u8()).toBe(0x2a);
  });

  test("never reads past the end, and stays where it is when asked to", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 16 }), fc.nat(32), (bytes, length) => {
        const reader = new ByteReader(bytes, "a structure");
        if (length <= bytes.length) {
          expect([...reader.take(length)]).toEqual([...bytes.slice(0, length)]);
          expect(reader.remaining).toBe(bytes.length - length);
        } else {
          expect(() => reader.take(length)).toThrow(
            new DataError(`a structure: ${length} bytes needed at 0, ${bytes.length} left`),
          );
          expect(reader.offset).toBe(0);
        }
      }),
    );
  });

  test.each([-1, 0.5, Number.NaN, Infinity, 2 ** 53])("refuses a length of %d", (length) => {
    expect(() => new ByteReader(fromHex("0102")).take(length)).toThrow(
      new DataError(`data: ${length} bytes needed at 0, 2 left`),
    );
  });

  test.each(["u8", "u16", "u32", "u16le", "u32le"] as const)(
    "%s of nothing names the structure and the offset",
    (method) => {
      expect(() => new ByteReader(new Uint8Array(), "frame")[method]()).toThrow(/frame: \d bytes needed at 0, 0 left/u);
    },
  );

  test("tells that bytes are left over", () => {
    const reader = new ByteReader(fromHex("0102"));
    reader.u8();
    expect(() => {
      reader.end();
    }).toThrow(/1 bytes too many at 1/u);
  });
});
