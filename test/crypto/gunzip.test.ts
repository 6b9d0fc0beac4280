import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError } from "../../src/bytes/index.ts";
import { gunzip } from "../../src/crypto/index.ts";

describe("gunzip", () => {
  test.each([
    ["gzip", gzipSync],
    ["zlib", deflateSync],
  ])("reads %s", (_, compress) => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), (bytes) => {
        expect(gunzip(compress(bytes), bytes.length)).toEqual(bytes);
      }),
    );
  });

  test("more than the limit is refused, however short it was compressed", () => {
    const bomb = gzipSync(new Uint8Array(10_000_000));
    expect(bomb.length).toBeLessThan(10_000);
    expect(() => gunzip(bomb, 65_536)).toThrow(DataError);
    expect(() => gunzip(gzipSync(new Uint8Array(101)), 100)).toThrow(DataError);
  });

  test("the limit holds for several members in a row", () => {
    const member = gzipSync(new Uint8Array(60));
    expect(() => gunzip(concat(member, member), 100)).toThrow(DataError);
  });

  test("cut off, damaged, of another kind or empty: refused", () => {
    const whole = gzipSync(new Uint8Array(100).fill(7));
    const damaged = whole.map((byte, index) => (index === whole.length - 6 ? byte ^ 1 : byte));
    for (const bytes of [whole.subarray(0, -4), damaged, deflateRawSync(new Uint8Array(9)), new Uint8Array()]) {
      expect(() => gunzip(bytes, 1000)).toThrow(DataError);
    }
  });

  test("any bytes inflate within the limit or are refused", () => {
    const headed = fc.uint8Array().map((bytes) => concat(Uint8Array.of(0x1f, 0x8b, 8, 0), bytes));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), headed), (bytes) => {
        try {
          expect(gunzip(bytes, 64).length).toBeLessThanOrEqual(64);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});
