import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError, fromHex } from "../../src/bytes/index.ts";
import { readChuidHead, serialNumber } from "../../src/piv/chuid.ts";

/** The example FASC-N of TIG SCEPACS 2.3 section 6.1: agency 0032, system 0001, credential 092446. */
const FASCN = "d0439458210c2c19a0846d83685a1082108ce73984108ca3fc";
const GUID = "00112233445546778899aabbccddeeff";

function chuid(fields: string): Uint8Array {
  const body = fromHex(fields);
  return Uint8Array.of(0x53, body.length, ...body);
}

describe("the head of a CHUID", () => {
  test("tells FASC-N and card UUID", () => {
    const head = readChuidHead(chuid(`3019${FASCN} 3410${GUID} 3508 3230333031323331 3e00 fe00`));
    expect(head).toEqual({ fascn: fromHex(FASCN), guid: fromHex(GUID) });
  });

  test("is read as far as the bytes go", () => {
    const cut = chuid(`3019${FASCN} 3410${GUID}`).subarray(0, 40);
    expect(readChuidHead(cut)).toEqual({ fascn: fromHex(FASCN) });
  });

  test("ends at the signature, whose length takes more than a byte", () => {
    const head = readChuidHead(fromHex(`5382 0100 3410${GUID} 3e82 0800 0102`));
    expect(head).toEqual({ guid: fromHex(GUID) });
  });

  test("any bytes are a head or a DataError", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          readChuidHead(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});

describe("the serial number", () => {
  test("is the card UUID", () => {
    expect(serialNumber({ guid: fromHex(GUID), fascn: fromHex(FASCN) })).toBe(GUID);
  });

  test("is the FASC-N's digits where the UUID is all zeros", () => {
    // 0032 0001 092446 0 1 1112223333 1 1223 2
    expect(serialNumber({ guid: new Uint8Array(16), fascn: fromHex(FASCN) })).toBe("00320001092446011112223333112232");
  });

  test("is empty where the card tells neither", () => {
    expect(serialNumber({})).toBe("");
  });
});
