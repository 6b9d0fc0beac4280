import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeTime, TAG } from "../../src/asn1/index.ts";
import { DataError, utf8 } from "../../src/bytes/index.ts";

const OTHER_FORM = "not in the form of RFC 5280 4.1.2.5";

describe("times of certificates", () => {
  test.each([
    [TAG.UTC_TIME, "500101000000Z", "1950-01-01T00:00:00.000Z"],
    [TAG.UTC_TIME, "991231235959Z", "1999-12-31T23:59:59.000Z"],
    [TAG.UTC_TIME, "491231235959Z", "2049-12-31T23:59:59.000Z"],
    [TAG.GENERALIZED_TIME, "20500101000000Z", "2050-01-01T00:00:00.000Z"],
    [TAG.GENERALIZED_TIME, "20240229120000Z", "2024-02-29T12:00:00.000Z"],
    // RFC 5280 section 4.1.2.5: no well-defined expiration date.
    [TAG.GENERALIZED_TIME, "99991231235959Z", "9999-12-31T23:59:59.000Z"],
  ])("%d %s is %s", (tag, text, iso) => {
    expect(decodeTime(tag, utf8(text)).toISOString()).toBe(iso);
  });

  test("every second of a UTCTime's century reads back", () => {
    const [min, max] = [Date.UTC(1950, 0), Date.UTC(2050, 0) - 1000];
    fc.assert(
      fc.property(fc.integer({ min: min / 1000, max: max / 1000 }), (seconds) => {
        const time = new Date(seconds * 1000);
        const text = time.toISOString().replace(/^..|[-:T]|\.000/gu, "");
        expect(decodeTime(TAG.UTC_TIME, utf8(text))).toEqual(time);
      }),
    );
  });

  test.each([
    [TAG.UTC_TIME, "230229000000Z", "no such day or hour"],
    [TAG.UTC_TIME, "230100000000Z", "no such day or hour"],
    [TAG.UTC_TIME, "230132000000Z", "no such day or hour"],
    [TAG.UTC_TIME, "230001000000Z", "no such day or hour"],
    [TAG.UTC_TIME, "231301000000Z", "no such day or hour"],
    [TAG.UTC_TIME, "230101240000Z", "no such day or hour"],
    [TAG.UTC_TIME, "230101006000Z", "no such day or hour"],
    [TAG.UTC_TIME, "230101000060Z", "no such day or hour"],
    [TAG.UTC_TIME, "2301010000Z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000.5Z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000ZZ", OTHER_FORM],
    [TAG.UTC_TIME, " 230101000000Z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000Z\n", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000+0100", OTHER_FORM],
    [TAG.UTC_TIME, "20230101000000Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "230101000000Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "202301010000Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "20230101000000.5Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "20230101000000", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "120230101000000Z", OTHER_FORM],
    [TAG.OCTET_STRING, "230101000000Z", OTHER_FORM],
    [TAG.OCTET_STRING, "20230101000000Z", OTHER_FORM],
    [TAG.UTC_TIME, "", OTHER_FORM],
  ])("refuses %d %j: %s", (tag, text, refusal) => {
    expect(() => decodeTime(tag, utf8(text))).toThrow(new DataError(`time: ${refusal}`));
  });

  test("contents of a megabyte are refused before they become text", () => {
    // So many arguments in one call would be a RangeError.
    expect(() => decodeTime(TAG.UTC_TIME, new Uint8Array(0x100000).fill(0x30))).toThrow(
      new DataError(`time: ${OTHER_FORM}`),
    );
  });

  test("any bytes are a time or a DataError", () => {
    fc.assert(
      fc.property(fc.constantFrom(TAG.UTC_TIME, TAG.GENERALIZED_TIME), fc.uint8Array(), (tag, bytes) => {
        try {
          expect(Number.isFinite(decodeTime(tag, bytes).getTime())).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});
