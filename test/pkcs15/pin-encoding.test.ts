import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { PinError } from "../../src/card/index.ts";
import { encodeNewPin, encodePin, pinBounds } from "../../src/pkcs15/pins/pin-encoding.ts";
import type { PinEntry } from "../../src/pkcs15/syntax/authentication.ts";
import { readEntry } from "../../src/pkcs15/syntax/directory.ts";
import { pin as pinDer, type TestPin } from "./directory-files.ts";

const TYPES = { bcd: 0, "ascii-numeric": 1, utf8: 2, "half-nibble-bcd": 3, "iso9564-1": 4 } as const;
/** initialized; initialized and needs-padding. */
const PLAIN = "0308";
const PADDED = "020c";

function entry(type: keyof typeof TYPES, fields: Partial<TestPin> = {}): PinEntry {
  const der = pinDer({ label: "PIN", authId: "01", reference: "81", type: TYPES[type], ...fields });
  const read = readEntry("authentication", fromHex(der));
  if (read.class !== "pin") throw new Error("no PIN");
  return read;
}

describe("a PIN goes to the card", () => {
  test.each<[keyof typeof TYPES, Partial<TestPin>, string, string]>([
    ["ascii-numeric", { flags: PLAIN }, "1234", "31323334"],
    ["ascii-numeric", { flags: PADDED, padding: "00" }, "123456", "3132333435360000"],
    ["ascii-numeric", { flags: PADDED, padding: "ff" }, "1234", "31323334ffffffff"],
    ["utf8", { flags: PADDED, padding: "20" }, "pä55", "70c3a43535202020"],
    ["bcd", { flags: PLAIN }, "12345", "12345f"],
    ["bcd", { flags: PADDED, lengths: [4, 6, 12], padding: "ff" }, "123456", "123456ffffff"],
    ["half-nibble-bcd", { flags: PLAIN }, "1290", "f1f2f9f0"],
    ["iso9564-1", { flags: PLAIN }, "1234", "241234ffffffffff"],
    ["iso9564-1", { flags: PLAIN, lengths: [4, 8, 12] }, "123456789012", "2c123456789012ff"],
  ])("as %s with %o: %s", (type, fields, pin, expected) => {
    expect(toHex(encodePin(entry(type, fields), utf8(pin)))).toBe(expected);
  });
});

/** What `encode` throws. */
function failure(encode: () => unknown): unknown {
  try {
    return encode();
  } catch (error) {
    return error;
  }
}

describe("a PIN stays here", () => {
  test.each<[keyof typeof TYPES, string, string]>([
    ["ascii-numeric", "123", "length"],
    ["ascii-numeric", "123456789", "length"],
    ["ascii-numeric", "12a4", "characters"],
    ["bcd", "12 4", "characters"],
    ["half-nibble-bcd", "12x4", "characters"],
    ["iso9564-1", "12.4", "characters"],
    ["utf8", "päp", "length"],
  ])("%s: %j", (type, pin, reason) => {
    const error = failure(() => encodePin(entry(type), utf8(pin)));
    expect(error).toBeInstanceOf(PinError);
    expect(error).toMatchObject({ reason });
  });

  test("no PIN at all, also where the card has no least length: VERIFY would tell of another caller's PIN", () => {
    const any = entry("ascii-numeric", { flags: PLAIN, lengths: [0, 8, 8] });
    expect(failure(() => encodePin(any, utf8("")))).toMatchObject({ reason: "length" });
  });

  test("bytes that are no UTF-8 have no length in characters", () => {
    expect(failure(() => encodePin(entry("utf8"), fromHex("ffffffff")))).toMatchObject({ reason: "characters" });
  });

  test("a new PIN that cannot be is not allowed, which is not to be wrong", () => {
    expect(failure(() => encodeNewPin(entry("bcd"), utf8("abcd")))).toMatchObject({ reason: "unacceptable" });
    expect(failure(() => encodeNewPin(entry("bcd"), utf8("1")))).toMatchObject({ reason: "length" });
  });
});

test("the bounds of a format 2 PIN are those of the format", () => {
  expect(pinBounds(entry("iso9564-1", { lengths: [1, 8, 20] }))).toEqual({ minLength: 4, maxLength: 12 });
});

test("any PIN is encoded or refused, and never longer than its card keeps", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...(Object.keys(TYPES) as (keyof typeof TYPES)[])),
      fc.string({ maxLength: 12 }),
      (type, pin) => {
        try {
          const encoded = encodePin(entry(type, { flags: PADDED, padding: "ff" }), utf8(pin));
          if (type !== "utf8") expect(encoded.length).toBeLessThanOrEqual(8);
        } catch (error) {
          expect(error).toBeInstanceOf(PinError);
        }
      },
    ),
  );
});
