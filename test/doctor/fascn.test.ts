import { expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { fascnText, readFascn, sameFascn } from "../../src/doctor/fascn.ts";

// The example of TIG SCEPACS 2.3 section 6.2 has agency 0032, system 0001, credential 092446.
const EXAMPLE = fromHex("d0439458210c2c19a0846d83685a1082108ce73984108ca3fc");
const FIRST = fromHex("d4e739da739ced39ce739da1685828af021086a484e739c3e2");
const SECOND = fromHex("d4e739da739ced39ce739da1685828af021086b984e739c3ff");

test("a FASC-N is read by its characters, least significant bit first", () => {
  expect(readFascn(EXAMPLE)).toEqual({ agency: "0032", system: "0001", credential: "092446", wellFormed: true });
  expect(fascnText(EXAMPLE)).toBe("D0439458210C2C19A0846D83685A1082108CE73984108CA3FC (0032-0001-092446)");
});

test.each([
  ["a bit of the person's number changed: its parity is even", 20, 0x01, { agency: "0032", wellFormed: false }],
  ["no start sentinel", 0, 0x80, { agency: "", wellFormed: false }],
])("%s", (_what, at, bit, expected) => {
  expect(readFascn(EXAMPLE.map((byte, index) => (index === at ? byte ^ bit : byte)))).toMatchObject(expected);
});

test("a FASC-N of another length is none", () => {
  expect(readFascn(EXAMPLE.subarray(1)).wellFormed).toBe(false);
});

test("of an issuer without an agency code the first three fields count, of others every bit", () => {
  expect(sameFascn(FIRST, SECOND)).toBe(true);
  expect(sameFascn(EXAMPLE, EXAMPLE.slice())).toBe(true);
  expect(
    sameFascn(
      EXAMPLE,
      EXAMPLE.map((byte, index) => (index === 24 ? byte ^ 0x20 : byte)),
    ),
  ).toBe(false);
  expect(sameFascn(FIRST, EXAMPLE)).toBe(false);
});
