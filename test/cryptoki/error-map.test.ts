import { describe, expect, test } from "@jest/globals";
import { DataError } from "../../src/bytes/index.ts";
import {
  CardAccessError,
  CardBusyError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  LoginRequiredError,
  MalformedAnswerError,
  ObjectGoneError,
  PinError,
  StatusError,
  UnsupportedError,
  UseRefusedError,
} from "../../src/card/index.ts";
import { CKR, CryptokiError } from "../../src/cryptoki/index.ts";
import { asCallerError, isGone, toCryptokiError } from "../../src/cryptoki/errors.ts";

describe("an error from below", () => {
  test.each([
    [new CardGoneError("taken out"), "CKR_DEVICE_REMOVED", true],
    [new CardBusyError("held"), "CKR_DEVICE_ERROR", false],
    [new CardCancelledError("stopped"), "CKR_FUNCTION_CANCELED", false],
    [new CardResetError("reset"), "CKR_DEVICE_ERROR", false],
    [new CardAccessError("failed"), "CKR_DEVICE_ERROR", false],
  ])("of the way to the card: %s is %s", (cause, name, gone) => {
    expect(toCryptokiError(cause)).toMatchObject({ code: name, cause });
    expect(isGone(cause)).toBe(gone);
  });

  test.each([
    [new PinError("incorrect", "wrong", 2), "CKR_PIN_INCORRECT"],
    [new PinError("blocked", "blocked", 0), "CKR_PIN_LOCKED"],
    [new PinError("length", "short"), "CKR_PIN_LEN_RANGE"],
    [new PinError("characters", "strange"), "CKR_PIN_INCORRECT"],
    [new PinError("not-set", "none"), "CKR_USER_PIN_NOT_INITIALIZED"],
    [new UseRefusedError("not touched"), "CKR_FUNCTION_REJECTED"],
    [new LoginRequiredError("PIN first"), "CKR_USER_NOT_LOGGED_IN"],
    [new ObjectGoneError("taken off"), "CKR_OBJECT_HANDLE_INVALID"],
    [new UnsupportedError("no such thing"), "CKR_FUNCTION_NOT_SUPPORTED"],
    [new StatusError("GET DATA", 0x6982), "CKR_USER_NOT_LOGGED_IN"],
    [new StatusError("VERIFY", 0x6983), "CKR_PIN_LOCKED"],
    [new StatusError("PUT DATA", 0x6a84), "CKR_DEVICE_MEMORY"],
    [new StatusError("SIGN", 0x6f00), "CKR_DEVICE_ERROR"],
    [new MalformedAnswerError("too long"), "CKR_DEVICE_ERROR"],
    [new DataError("cut off"), "CKR_DEVICE_ERROR"],
    [new DOMException("stop", "AbortError"), "CKR_FUNCTION_CANCELED"],
    [new TypeError("a mistake"), "CKR_GENERAL_ERROR"],
    ["thrown text", "CKR_GENERAL_ERROR"],
    [undefined, "CKR_GENERAL_ERROR"],
  ])("%s is %s", (cause, name) => {
    expect(toCryptokiError(cause)).toMatchObject({ code: name, cause });
  });

  test("says what happened, after the name", () => {
    expect(toCryptokiError(new PinError("incorrect", "the PIN is wrong; 2 tries are left", 2)).message).toBe(
      "CKR_PIN_INCORRECT: the PIN is wrong; 2 tries are left",
    );
  });

  test("that is one of ours already stays", () => {
    const error = new CryptokiError(CKR.NO_EVENT);
    expect(toCryptokiError(error)).toBe(error);
  });
});

test("only data that does not fit is blamed on the caller", () => {
  const failing = (error: unknown) => (): never => {
    throw error;
  };
  expect(() => asCallerError(CKR.DATA_LEN_RANGE, failing(new DataError("300 bytes")))).toThrow(
    "CKR_DATA_LEN_RANGE: 300 bytes",
  );
  expect(() => asCallerError(CKR.DATA_LEN_RANGE, failing(new TypeError("a mistake")))).toThrow(
    new TypeError("a mistake"),
  );
  expect(asCallerError(CKR.DATA_LEN_RANGE, () => 1)).toBe(1);
});
