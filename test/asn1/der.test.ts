import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  contextTag,
  derBitString,
  derLength,
  derNull,
  derOctetString,
  derOid,
  DerReader,
  derSequence,
  derUnsigned,
  encodeDer,
  TAG,
} from "../../src/asn1/index.ts";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";

const read = (hex: string): DerReader => new DerReader(fromHex(hex));

/** Reads every element of `reader` and of what is constructed within; the number of elements. */
function walk(reader: DerReader): number {
  let count = 0;
  while (reader.remaining > 0) {
    const tag = reader.peek() ?? 0;
    count += 1 + ((tag & 0x20) === 0 ? (reader.next(), 0) : walk(reader.enter(tag)));
  }
  return count;
}

describe("DerReader", () => {
  test("gives an element's tag, contents and encoding as views", () => {
    const bytes = fromHex("0401aa0500");
    const reader = new DerReader(bytes);
    const { tag, contents, encoding } = reader.next(TAG.OCTET_STRING);
    expect([tag, toHex(contents), toHex(encoding)]).toEqual([0x04, "aa", "0401aa"]);
    expect(contents.buffer).toBe(bytes.buffer);
    expect(reader.optional(TAG.OCTET_STRING)).toBeUndefined();
    reader.null();
    reader.end();
  });

  test.each([
    ["02 01 00", "00"],
    ["02 01 7f", "7f"],
    ["02 02 00 80", "0080"],
    ["02 01 ff", "ff"],
    ["02 02 ff 7f", "ff7f"],
  ])("INTEGER %s", (hex, contents) => {
    expect(toHex(read(hex).integer())).toBe(contents);
  });

  test.each([
    ["02 00", "an INTEGER without contents"],
    ["02 02 00 7f", "an INTEGER that is not in its shortest form"],
    ["02 02 00 00", "an INTEGER that is not in its shortest form"],
    ["02 02 ff 80", "an INTEGER that is not in its shortest form"],
    ["02 02 ff ff", "an INTEGER that is not in its shortest form"],
    ["03 01 00", "tag 03 at 0 instead of 02"],
  ])("refuses the INTEGER %s", (hex, refusal) => {
    expect(() => read(hex).integer()).toThrow(new DataError(`DER: ${refusal}`));
    expect(() => read(hex).unsigned()).toThrow(new DataError(`DER: ${refusal}`));
  });

  test("a magnitude has no sign byte, and a negative INTEGER none", () => {
    expect(toHex(read("02 02 00 80").unsigned())).toBe("80");
    expect(read("02 01 00").unsigned()).toHaveLength(0);
    expect(() => read("02 01 80").unsigned()).toThrow("DER: a negative INTEGER");
  });

  test("BIT STRING", () => {
    expect(read("03 02 05 a0").bitString()).toEqual({ unusedBits: 5, bytes: Uint8Array.of(0xa0) });
    expect(read("03 01 00").bitString()).toEqual({ unusedBits: 0, bytes: new Uint8Array() });
    expect(read("03 02 00 a0").bitStringBytes()).toEqual(Uint8Array.of(0xa0));
    expect(() => read("03 02 05 a0").bitStringBytes()).toThrow("DER: a BIT STRING that is not whole bytes");
  });

  test.each(["03 00", "03 01 01", "03 02 08 00", "03 02 05 bf"])("refuses the BIT STRING %s", (hex) => {
    expect(() => read(hex).bitString()).toThrow("DER: a BIT STRING with an invalid count of unused bits");
  });

  test("BOOLEAN is 00 or FF", () => {
    expect(read("01 01 ff").boolean()).toBe(true);
    expect(read("01 01 00").boolean()).toBe(false);
    for (const hex of ["01 01 01", "01 01 fe", "01 00", "01 02 ff ff", "01 02 00 00"]) {
      expect(() => read(hex).boolean()).toThrow("DER: a BOOLEAN that is neither 00 nor FF");
    }
  });

  test("NULL has no contents", () => {
    expect(() => {
      read("05 01 00").null();
    }).toThrow("DER: a NULL with contents");
  });

  test.each([
    ["indefinite length", "30 80 00 00", "length octet 80"],
    ["a long length for a short one", `04 81 7f ${"00".repeat(127)}`, "length 127 in 1 bytes"],
    ["a length of 0 in two bytes", "04 81 00", "length 0 in 1 bytes"],
    ["a length with a leading zero", `04 82 00 80 ${"00".repeat(128)}`, "length 128 in 2 bytes"],
    ["a length with a leading zero in three bytes", `04 83 00 01 00 ${"00".repeat(256)}`, "length 256 in 3 bytes"],
    ["a length of five bytes", "04 85 01 00 00 00 00", "length octet 85"],
    ["a length of five bytes with zeros", "04 85 00 00 00 00 01 aa", "length octet 85"],
    ["a length octet FF", "04 ff", "length octet FF"],
    ["a length beyond the limit", "04 83 10 00 01", "length 1048577 in 3 bytes"],
    ["a length of 4 GiB", "04 84 ff ff ff ff", "length 4294967295 in 4 bytes"],
    ["a length that lies", "04 05 00", "5 bytes needed at 2, 1 left"],
    ["a length that is cut off", "04 82 01", "2 bytes needed at 2, 1 left"],
    ["a tag number in several bytes", "1f 81 00 00", "a tag number above 30 at 0"],
    ["a tag number that would have fitted into one byte", "1f 04 00", "a tag number above 30 at 0"],
    ["a constructed tag number in several bytes", "7f 49 00", "a tag number above 30 at 0"],
    ["nothing", "", "1 bytes needed at 0, 0 left"],
  ])("refuses %s", (_, hex, refusal) => {
    expect(() => read(hex).next()).toThrow(new DataError(`DER: ${refusal}`));
    // What is skipped is read by the same rules.
    const [identifier = 0] = fromHex(hex);
    if (hex !== "") expect(() => read(hex).optional(identifier)).toThrow(new DataError(`DER: ${refusal}`));
  });

  test("refuses another tag, and names both", () => {
    expect(() => read("04 00").next(TAG.SEQUENCE)).toThrow("DER: tag 04 at 0 instead of 30");
  });

  test("refuses bytes behind the end", () => {
    const reader = read("05 00 00");
    reader.null();
    expect(() => {
      reader.end();
    }).toThrow("DER: 1 bytes too many at 2");
  });

  test("refuses the seventeenth level", () => {
    const nested = (levels: number): Uint8Array => {
      let der = derNull();
      for (let level = 0; level < levels; level++) der = derSequence(der);
      return der;
    };
    expect(walk(new DerReader(nested(16)))).toBe(17);
    expect(() => walk(new DerReader(nested(17)))).toThrow("DER: more than 16 levels");
  });

  test("refuses more than 1 MiB before it looks", () => {
    expect(() => new DerReader(new Uint8Array(0x100001))).toThrow("DER: 1048577 bytes; the limit is 1048576");
    expect(new DerReader(new Uint8Array(0x100000)).remaining).toBe(0x100000);
    expect(() => derLength(fromHex("04 83 10 00 01"))).toThrow("DER: length 1048577 in 3 bytes");
    expect(derLength(fromHex("04 83 10 00 00"))).toBe(0x100005);
  });

  test("any bytes at all are read to the end or refused", () => {
    const tag = fc.constantFrom(...Object.values(TAG), contextTag(0, "constructed"), 0xff);
    const likely = fc.array(fc.oneof(tag, fc.nat(12), fc.nat(255)), { maxLength: 60 });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          likely.map((octets) => Uint8Array.from(octets)),
        ),
        (bytes) => {
          try {
            walk(new DerReader(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(DataError);
          }
        },
      ),
    );
  });
});

describe("writing", () => {
  test("what is written reads back", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ size: "large", maxLength: 70_000 }),
        fc.uint8Array({ minLength: 1, maxLength: 300 }),
        (bytes, number) => {
          const reader = new DerReader(
            derSequence(derOctetString(bytes), derBitString(bytes), derUnsigned(number), derOid("1.2.3"), derNull()),
          ).enter();
          expect(reader.octetString()).toEqual(bytes);
          expect(reader.bitStringBytes()).toEqual(bytes);
          const start = number.findIndex((byte) => byte !== 0);
          expect(reader.unsigned()).toEqual(start < 0 ? new Uint8Array() : number.subarray(start));
          expect(reader.oid()).toBe("1.2.3");
          reader.null();
          reader.end();
        },
      ),
    );
  });

  // X.690 section 8.1.3.5 example: 201 bytes are 81 C9.
  test.each([
    [0x7f, "047f"],
    [0x80, "048180"],
    [201, "0481c9"],
    [0xff, "0481ff"],
    [0x100, "04820100"],
    [0x10000, "0483010000"],
  ])("a length of %d", (length, head) => {
    const der = derOctetString(new Uint8Array(length));
    expect(toHex(der.subarray(0, head.length / 2))).toBe(head);
    expect(der).toHaveLength(head.length / 2 + length);
    expect(derLength(der.subarray(0, 6))).toBe(der.length);
  });

  test("unused bits of a BIT STRING are there and 0", () => {
    expect(toHex(derBitString(Uint8Array.of(0xa0), 5))).toBe("030205a0");
    expect(() => derBitString(Uint8Array.of(0xff), 1)).toThrow("BIT STRING: 1 unused bits");
    expect(() => derBitString(new Uint8Array(), 1)).toThrow("BIT STRING: 1 unused bits");
    expect(() => derBitString(Uint8Array.of(0), 8)).toThrow("BIT STRING: 8 unused bits");
    expect(() => derBitString(Uint8Array.of(0), -1)).toThrow("BIT STRING: -1 unused bits");
  });

  test("context tags", () => {
    expect(toHex(encodeDer(contextTag(0, "constructed"), derUnsigned(Uint8Array.of(2))))).toBe("a003020102");
    expect(toHex(encodeDer(contextTag(2, "primitive"), Uint8Array.of(1), Uint8Array.of(2)))).toBe("82020102");
  });
});

describe("derLength", () => {
  test("tells how long a file's first element is from its first bytes", () => {
    const der = derSequence(derOctetString(new Uint8Array(700)));
    expect(derLength(concat(der, new Uint8Array(50)).subarray(0, 20))).toBe(der.length);
  });

  test.each([
    ["", "1 bytes needed at 0, 0 left"],
    ["30", "1 bytes needed at 1, 0 left"],
    ["3082", "2 bytes needed at 2, 0 left"],
    ["308201", "2 bytes needed at 2, 1 left"],
    ["3080", "length octet 80"],
    ["30817f", "length 127 in 1 bytes"],
    ["1f01", "a tag number above 30"],
  ])("refuses %j", (hex, refusal) => {
    expect(() => derLength(fromHex(hex))).toThrow(new DataError(`DER: ${refusal}`));
  });
});
