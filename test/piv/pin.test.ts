import { describe, expect, test } from "@jest/globals";
import { toHex, utf8 } from "../../src/bytes/index.ts";
import { changePin, unlockPin, verifyPin } from "../../src/piv/pin.ts";
import type { PivExchange } from "../../src/piv/session.ts";
import { DataKeeper, OUTCOMES } from "../card/sent-pins.ts";

describe.each(OUTCOMES)("the padded PINs of a command that is %s are wiped:", (outcome) => {
  test.each<[string, (send: PivExchange) => Promise<void>, string]>([
    ["VERIFY", (send) => verifyPin(send, 0x80, utf8("123456")), "313233343536ffff"],
    [
      "CHANGE REFERENCE DATA",
      (send) => changePin(0x80, utf8("123456"), utf8("654321"))(send),
      "313233343536ffff363534333231ffff",
    ],
    [
      "RESET RETRY COUNTER",
      (send) => unlockPin(utf8("12345678"), utf8("654321"))(send),
      "3132333435363738363534333231ffff",
    ],
  ])("%s", async (_, work, sent) => {
    const card = new DataKeeper(outcome);
    const done = work(card.send);
    await (outcome === "accepted" ? done : expect(done).rejects.toThrow(/2 tries are left|the reader is gone/u));
    expect(toHex(card.sent ?? new Uint8Array())).toBe(sent);
    expect(card.left).toEqual(new Uint8Array(sent.length / 2));
  });
});
