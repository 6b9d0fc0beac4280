import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { type CommandApdu, decodeCommand, encodeCommand, type LengthForm } from "../../src/apdu/index.ts";
import { DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { shareOf } from "../seeded-random.ts";

const HEADER = { cla: 0x00, ins: 0xcb, p1: 0x3f, p2: 0xff };
const encoded = (body: Pick<CommandApdu, "data" | "ne">, form?: LengthForm): string =>
  toHex(encodeCommand({ ...HEADER, ...body }, form));

const octet = fc.nat(255);
const header = fc.record({ cla: octet, ins: octet, p1: octet, p2: octet });
const body = (maxData: number, maxNe: number): fc.Arbitrary<Pick<CommandApdu, "data" | "ne">> =>
  fc.record(
    { data: fc.uint8Array({ minLength: 1, maxLength: maxData, size: "max" }), ne: fc.integer({ min: 1, max: maxNe }) },
    { requiredKeys: [] },
  );

describe("command APDUs, ISO/IEC 7816-3 section 12.1", () => {
  test.each<[string, Pick<CommandApdu, "data" | "ne">, LengthForm, string]>([
    ["case 1", {}, "short", "00cb3fff"],
    ["case 2 short", { ne: 16 }, "short", "00cb3fff10"],
    ["case 2 short, all", { ne: 256 }, "short", "00cb3fff00"],
    ["case 3 short", { data: fromHex("5c017e") }, "short", "00cb3fff035c017e"],
    ["case 4 short", { data: fromHex("5c017e"), ne: 256 }, "short", "00cb3fff035c017e00"],
    ["case 1 has no extended form", {}, "extended", "00cb3fff"],
    ["case 2 extended", { ne: 0x1234 }, "extended", "00cb3fff001234"],
    ["case 2 extended, all", { ne: 65_536 }, "extended", "00cb3fff000000"],
    ["case 3 extended", { data: fromHex("5c017e") }, "extended", "00cb3fff0000035c017e"],
    ["case 4 extended", { data: fromHex("5c017e"), ne: 65_536 }, "extended", "00cb3fff0000035c017e0000"],
    ["case 4 extended, little wanted", { data: fromHex("5c017e"), ne: 2 }, "extended", "00cb3fff0000035c017e0002"],
  ])("%s", (_, parts, form, expected) => {
    expect(encoded(parts, form)).toBe(expected);
  });

  test("every short command reads back", () => {
    fc.assert(
      fc.property(header, body(255, 256), (head, rest) => {
        const command = { ...head, ...rest };
        expect(decodeCommand(encodeCommand(command))).toEqual({ ...command, form: "short" });
      }),
    );
  });

  test("every extended command reads back", () => {
    fc.assert(
      fc.property(header, body(65_535, 65_536), (head, rest) => {
        const command = { ...head, ...rest };
        const form = Object.keys(rest).length === 0 ? "short" : "extended";
        expect(decodeCommand(encodeCommand(command, "extended"))).toEqual({ ...command, form });
      }),
      { numRuns: shareOf(50) },
    );
  });

  test("any bytes decode to a command that encodes to the same bytes, or throw a DataError", () => {
    const zeroHeavy = fc.array(fc.oneof(fc.constant(0), fc.nat(4), octet), { maxLength: 24 });
    fc.assert(
      fc.property(zeroHeavy, (octets) => {
        const bytes = Uint8Array.from(octets);
        try {
          const { form, ...command } = decodeCommand(bytes);
          expect(toHex(encodeCommand(command, form))).toBe(toHex(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
      { numRuns: shareOf(2000) },
    );
  });

  test.each([
    ["no header", "00cb3f", "3 bytes; the minimum is 4"],
    ["data cut off", "00cb3fff035c01", "Lc 3, but 2 bytes follow"],
    ["a byte too many", "00cb3fff035c017e0000", "Lc 3, but 5 bytes follow"],
    ["extended length cut off", "00cb3fff0001", "extended length field cut off"],
    ["extended data cut off", "00cb3fff0000035c01", "extended Lc 3, but 2 bytes follow"],
    ["extended Le cut off", "00cb3fff0000035c017e00", "extended Lc 3, but 4 bytes follow"],
    ["a byte too many behind an extended Le", "00cb3fff0000035c017e000000", "extended Lc 3, but 6 bytes follow"],
    ["extended Lc of zero", "00cb3fff0000000100", "extended Lc 0, but 2 bytes follow"],
  ])("refuses to read %s", (_, hex, message) => {
    expect(() => decodeCommand(fromHex(hex))).toThrow(new DataError(`command APDU: ${message}`));
  });

  const ONE_BYTE_EACH = "CLA, INS, P1 and P2 are one byte each";

  test.each<[string, CommandApdu, LengthForm, string]>([
    ["a class of more than a byte", { ...HEADER, cla: 0x100 }, "short", ONE_BYTE_EACH],
    ["an instruction of more than a byte", { ...HEADER, ins: 0x100 }, "short", ONE_BYTE_EACH],
    ["a fraction", { ...HEADER, p1: 0.5 }, "short", ONE_BYTE_EACH],
    ["a negative parameter", { ...HEADER, p2: -1 }, "short", ONE_BYTE_EACH],
    [
      "256 bytes of data",
      { ...HEADER, data: new Uint8Array(256) },
      "short",
      "256 data bytes; the limit in short form is 255",
    ],
    [
      "65,536 bytes of data",
      { ...HEADER, data: new Uint8Array(65_536) },
      "extended",
      "65536 data bytes; the limit in extended form is 65535",
    ],
    ["Ne 257", { ...HEADER, ne: 257 }, "short", "Ne 257, 1 to 256"],
    ["Ne 65,537", { ...HEADER, ne: 65_537 }, "extended", "Ne 65537, 1 to 65536"],
    ["Ne 0", { ...HEADER, ne: 0 }, "short", "Ne 0, 1 to 256"],
    ["Ne 1.5", { ...HEADER, ne: 1.5 }, "short", "Ne 1.5, 1 to 256"],
  ])("refuses to write %s", (_, command, form, message) => {
    expect(() => encodeCommand(command, form)).toThrow(`command APDU: ${message}`);
  });
});
