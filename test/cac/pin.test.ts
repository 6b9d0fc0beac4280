import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { changePin, type PinCommand, verifyPin } from "../../src/cac/pin.ts";
import { DataKeeper, OUTCOMES } from "../card/sent-pins.ts";

describe.each(OUTCOMES)("the padded PINs of a command that is %s are wiped:", (outcome) => {
  test.each<[string, PinCommand, string]>([
    ["VERIFY", verifyPin(utf8("123456")), "313233343536ffff"],
    ["CHANGE REFERENCE DATA", changePin(utf8("1234"), utf8("654321"), 0), "31323334ffffffff363534333231ffff"],
  ])("%s", async (_, work, sent) => {
    const card = new DataKeeper(outcome);
    const done = work(card.send);
    await (outcome === "accepted" ? done : expect(done).rejects.toThrow(/2 tries are left|the reader is gone/u));
    expect(toHex(card.sent ?? new Uint8Array())).toBe(sent);
    expect(card.left).toEqual(new Uint8Array(sent.length / 2));
  });
});
