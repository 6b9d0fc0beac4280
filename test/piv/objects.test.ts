import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { CardError } from "../../src/apdu/index.ts";
import { DataError, fromHex, utf8 } from "../../src/bytes/index.ts";
import { readAuthentication, readData } from "../../src/piv/commands.ts";
import { PIN_REFERENCE, readDiscovery, readKeyHistory } from "../../src/piv/data-objects.ts";

const AID = "4f0ba000000308000010000100";

describe("the discovery object", () => {
  test.each([
    ["4000", "the application PIN alone", PIN_REFERENCE.APPLICATION],
    ["6010", "both, the application PIN first", PIN_REFERENCE.APPLICATION],
    ["6020", "both, the global PIN first", PIN_REFERENCE.GLOBAL],
  ])("policy %s: %s", (policy, _, pin) => {
    expect(readDiscovery(fromHex(`${AID}5f2f02${policy}`))).toEqual({ piv: true, pin });
  });

  test("without a policy means the application PIN", () => {
    expect(readDiscovery(fromHex(AID))).toEqual({ piv: true, pin: PIN_REFERENCE.APPLICATION });
  });

  test("of another application is not PIV's", () => {
    expect(readDiscovery(fromHex("4f06d27600012401")).piv).toBe(false);
  });
});

describe("the key history object", () => {
  test("counts retired keys on and off the card", () => {
    const url = utf8("http://example.test/keys");
    const value = Uint8Array.of(...fromHex("c10105c20102f3"), url.length, ...url, 0xfe, 0x00);
    expect(readKeyHistory(value)).toEqual({ onCard: 5, offCard: 2, url });
  });

  test("with more than 20 keys is refused", () => {
    expect(() => readKeyHistory(fromHex("c1010bc2010a"))).toThrow(DataError);
  });
});

describe("what GET DATA answers", () => {
  test("loses its wrapping", () => {
    expect(readData(0x5fc102, fromHex("5302 3400"))).toEqual(fromHex("3400"));
  });

  test("an empty object is none", () => {
    expect(readData(0x5fc105, fromHex("5300"))).toBeUndefined();
    expect(readData(0x5fc105, new Uint8Array())).toBeUndefined();
  });

  test.each(["5303 3400", "7000", "5382"])("%s is the card's mistake", (answer) => {
    expect(() => readData(0x5fc105, fromHex(answer))).toThrow(CardError);
  });
});

test("any bytes as an answer parse or are the card's mistake", () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      for (const read of [() => readData(0x5fc105, bytes), () => readAuthentication(bytes)]) {
        try {
          read();
        } catch (error) {
          expect(error).toBeInstanceOf(CardError);
        }
      }
    }),
  );
});
