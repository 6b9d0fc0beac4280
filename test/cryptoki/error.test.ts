import { describe, expect, test } from "@jest/globals";
import { CKR } from "../../src/cryptoki/constants/index.ts";
import { CryptokiError } from "../../src/cryptoki/errors.ts";

describe("CryptokiError", () => {
  test("has the name and the number of its return value and says what to do", () => {
    const error = new CryptokiError(CKR.TOKEN_NOT_PRESENT);
    expect(error).toMatchObject({ code: "CKR_TOKEN_NOT_PRESENT", rv: 0xe0 });
    expect(error.message).toMatch(/^CKR_TOKEN_NOT_PRESENT: no card in this reader/u);
  });

  test("a detail stands instead of the general advice, the lower error as its cause", () => {
    const cause = new RangeError("lower");
    const error = new CryptokiError(CKR.PIN_INCORRECT, "wrong PIN, 2 tries left", { cause });
    expect(error.message).toBe("CKR_PIN_INCORRECT: wrong PIN, 2 tries left");
    expect(error.cause).toBe(cause);
  });

  test("is one return value, by its name or its number", () => {
    const error = new CryptokiError(CKR.PIN_INCORRECT);
    expect(error.name).toBe("CryptokiError");
    expect([error.is("CKR_PIN_INCORRECT"), error.is(CKR.PIN_INCORRECT)]).toEqual([true, true]);
    expect([error.is("CKR_PIN_LOCKED"), error.is(CKR.PIN_LOCKED)]).toEqual([false, false]);
  });

  test("names a vendor's value", () => {
    expect(new CryptokiError(0x80000005).message).toBe("CKR_VENDOR_DEFINED|0x5");
  });

  test("says its name once when it is printed", () => {
    const error = new CryptokiError(CKR.DEVICE_REMOVED);
    expect(String(error)).toBe(`CryptokiError: ${error.message}`);
    expect(error.message.match(/CKR_DEVICE_REMOVED/gu)).toHaveLength(1);
    expect(error.stack?.match(/CKR_DEVICE_REMOVED/gu)).toHaveLength(1);
  });
});
