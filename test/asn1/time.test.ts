import { X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeTime, derBitString, derOid, derSequence, derUnsigned, encodeDer, TAG } from "../../src/asn1/index.ts";
import { DataError, utf8 } from "../../src/bytes/index.ts";

const OTHER_FORM = "neither a UTCTime nor a GeneralizedTime of a certificate";
const NO_OFFSET = "no such offset from UTC";

/** A certificate that is valid from this time on. */
function certificateFrom(tag: number, text: string): Uint8Array {
  const algorithm = derSequence(derOid("1.2.840.10045.4.3.2"));
  const key = derSequence(derSequence(derOid("1.3.101.112")), derBitString(new Uint8Array(32)));
  const validity = derSequence(encodeDer(tag, utf8(text)), encodeDer(TAG.UTC_TIME, utf8("400101000000Z")));
  const tbs = derSequence(derUnsigned(Uint8Array.of(1)), algorithm, derSequence(), validity, derSequence(), key);
  return derSequence(tbs, algorithm, derBitString(new Uint8Array(64)));
}

/** When OpenSSL says that it is valid from; undefined if OpenSSL does not take it. */
function validFrom(tag: number, text: string): string | undefined {
  try {
    return new Date(new X509Certificate(certificateFrom(tag, text)).validFrom.replace(/\.\d+/u, "")).toISOString();
  } catch (error) {
    expect(error).toMatchObject({ message: expect.stringContaining("no start line") });
    return undefined;
  }
}

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

  test.each([
    [TAG.UTC_TIME, "2501020304Z", "2025-01-02T03:04:00.000Z"],
    [TAG.GENERALIZED_TIME, "205501020304Z", "2055-01-02T03:04:00.000Z"],
  ])("no seconds, %d %s: %s, as OpenSSL says where it takes that", (tag, text, iso) => {
    expect(decodeTime(tag, utf8(text)).toISOString()).toBe(iso);
    // OpenSSL took it up to 3.0, which Node 20 has.
    expect(validFrom(tag, text)).toBe(process.versions.openssl.startsWith("3.0.") ? iso : undefined);
  });

  test.each([
    ["an offset ahead of UTC", TAG.UTC_TIME, "250101003000+0130", "2024-12-31T23:00:00.000Z"],
    ["an offset behind UTC", TAG.UTC_TIME, "2412312330-0100", "2025-01-01T00:30:00.000Z"],
    ["an offset of nothing", TAG.GENERALIZED_TIME, "20250101000000-0000", "2025-01-01T00:00:00.000Z"],
    ["the largest offset", TAG.GENERALIZED_TIME, "20250101000000+1259", "2024-12-31T11:01:00.000Z"],
    ["a fraction", TAG.GENERALIZED_TIME, "20250101000000.999Z", "2025-01-01T00:00:00.000Z"],
    ["a fraction and an offset", TAG.GENERALIZED_TIME, "20250101000000.5+0100", "2024-12-31T23:00:00.000Z"],
  ])("%s, %d %s: %s, as OpenSSL says", (_, tag, text, iso) => {
    expect(decodeTime(tag, utf8(text)).toISOString()).toBe(iso);
    expect(validFrom(tag, text)).toBe(iso);
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
    [TAG.UTC_TIME, "230101000000", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000.5Z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000ZZ", OTHER_FORM],
    [TAG.UTC_TIME, " 230101000000Z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000Z\n", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000+01", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000+0100Z", OTHER_FORM],
    [TAG.UTC_TIME, "230101000000+1300", NO_OFFSET],
    [TAG.UTC_TIME, "230101000000-0060", NO_OFFSET],
    [TAG.UTC_TIME, "23010100Z", OTHER_FORM],
    [TAG.UTC_TIME, "2301010060Z", "no such day or hour"],
    [TAG.UTC_TIME, "20230101000000Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "230101000000Z", "no such day or hour"],
    [TAG.GENERALIZED_TIME, "00000101000000+0001", "no year from 0000 to 9999"],
    [TAG.GENERALIZED_TIME, "99991231235959-0001", "no year from 0000 to 9999"],
    [TAG.GENERALIZED_TIME, "202301010000.5Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "20230101000000.Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "20230101000000,5Z", OTHER_FORM],
    [TAG.GENERALIZED_TIME, "20230101000000.5", OTHER_FORM],
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
