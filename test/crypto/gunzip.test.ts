import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError } from "../../src/bytes/index.ts";
import { gunzip } from "../../src/crypto/index.ts";

/** The refusal, and zlib's reason for it. */
const refusal = (limit: number, code: string): unknown =>
  expect.objectContaining({
    name: "DataError",
    message: `compressed data: damaged, or more than ${limit} bytes`,
    cause: expect.objectContaining({ code }),
  });
const tooLong = (limit: number): unknown => refusal(limit, "ERR_BUFFER_TOO_LARGE");

describe("gunzip", () => {
  test.each([
    ["gzip", gzipSync],
    ["zlib", deflateSync],
  ])("reads %s", async (_, compress) => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1 }), async (bytes) => {
        expect(await gunzip(compress(bytes), bytes.length)).toEqual(bytes);
      }),
    );
  });

  test("more than the limit is refused, however short it was compressed", async () => {
    const bomb = gzipSync(new Uint8Array(10_000_000));
    expect(bomb.length).toBeLessThan(10_000);
    await expect(gunzip(bomb, 65_536)).rejects.toThrow(tooLong(65_536));
    await expect(gunzip(gzipSync(new Uint8Array(101)), 100)).rejects.toThrow(tooLong(100));
  });

  test("the limit holds for several members in a row", async () => {
    const member = gzipSync(new Uint8Array(60));
    await expect(gunzip(concat(member, member), 100)).rejects.toThrow(tooLong(100));
  });

  const whole = gzipSync(new Uint8Array(100).fill(7));
  test.each([
    ["cut off", whole.subarray(0, -4), "Z_BUF_ERROR"],
    ["damaged", whole.map((byte, index) => (index === whole.length - 6 ? byte ^ 1 : byte)), "Z_DATA_ERROR"],
    ["of another kind", deflateRawSync(new Uint8Array(9)), "Z_DATA_ERROR"],
    ["empty", new Uint8Array(), "Z_BUF_ERROR"],
  ])("%s: refused", async (_, bytes, code) => {
    await expect(gunzip(bytes, 1000)).rejects.toThrow(refusal(1000, code));
  });

  test("any bytes inflate within the limit or are refused", async () => {
    const headed = fc.uint8Array().map((bytes) => concat(Uint8Array.of(0x1f, 0x8b, 8, 0), bytes));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.uint8Array(), headed), async (bytes) => {
        try {
          expect((await gunzip(bytes, 64)).length).toBeLessThanOrEqual(64);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});
