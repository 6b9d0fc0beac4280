import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { decodeResponse, encodeResponse } from "../../src/apdu/index.ts";
import { DataError } from "../../src/bytes/index.ts";

describe("response APDUs", () => {
  test("read back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(0xffff), (data, sw) => {
        const response = decodeResponse(encodeResponse({ data, sw }));
        expect(response.sw).toBe(sw);
        expect([...response.data]).toEqual([...data]);
      }),
    );
  });

  test.each([
    [0, "0 bytes; the minimum is 2"],
    [1, "1 bytes; the minimum is 2"],
    [65_539, "65539 bytes; the limit is 65538"],
  ])("of %d bytes are refused", (length, message) => {
    expect(() => decodeResponse(new Uint8Array(length))).toThrow(new DataError(`response APDU: ${message}`));
  });

  test("may be as long as an extended answer", () => {
    expect(decodeResponse(new Uint8Array(65_538)).data).toHaveLength(65_536);
  });
});
