import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError, fromHex } from "../../src/bytes/index.ts";
import { chuidNumber, readChuidHead } from "../../src/piv/data-objects.ts";

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

describe("the number of a card", () => {
  /** Agency 9999, system 9999, credential 999999: of a holder without a number. */
  const NO_AGENCY = "d4e739da739ced39ce739da1685a1082108ce73984108ca3fc";
  const ZEROS = "00".repeat(16);

  // OpenSC 0.23 takes the same, but zeros where the FASC-N is zeros.
  test.each([
    ["the FASC-N", FASCN, GUID, FASCN],
    ["the FASC-N without a UUID", FASCN, undefined, FASCN],
    ["the UUID where the agency is 9999", NO_AGENCY, GUID, GUID],
    ["the FASC-N of agency 9999 where the UUID is zeros", NO_AGENCY, ZEROS, NO_AGENCY],
    ["the FASC-N of agency 9999 without a UUID", NO_AGENCY, undefined, NO_AGENCY],
    ["the UUID alone", undefined, GUID, GUID],
    ["the UUID where the FASC-N is zeros", "00".repeat(25), GUID, GUID],
    ["nothing where the UUID is zeros", undefined, ZEROS, undefined],
    ["nothing where both are zeros", "00".repeat(25), ZEROS, undefined],
    ["nothing without either", undefined, undefined, undefined],
  ])("is %s", (_, fascn, guid, number) => {
    const head = {
      ...(fascn !== undefined && { fascn: fromHex(fascn) }),
      ...(guid !== undefined && { guid: fromHex(guid) }),
    };
    expect(chuidNumber(head)).toBe(number);
  });
});
