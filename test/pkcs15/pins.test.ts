import { describe, expect, test } from "@jest/globals";
import type { CommandApdu } from "../../src/apdu/index.ts";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { changeReferenceData, resetRetryCounter, verify } from "../../src/pkcs15/files/commands.ts";
import { sendPin } from "../../src/pkcs15/pins/pins.ts";
import { readEntry } from "../../src/pkcs15/syntax/directory.ts";
import { DataKeeper, OUTCOMES } from "../card/sent-pins.ts";
import { pin as pinDer } from "./directory-files.ts";

const pin = readEntry(
  "authentication",
  fromHex(pinDer({ label: "PIN", authId: "01", reference: "81", flags: "0308" })),
);
const NEW = utf8("654321");

describe.each(OUTCOMES)("a command with a PIN that is %s is wiped:", (outcome) => {
  test.each<[string, (encoded: Uint8Array) => CommandApdu, string]>([
    ["VERIFY", (encoded) => verify(0x81, encoded), "313233343536"],
    ["CHANGE REFERENCE DATA", (encoded) => changeReferenceData(0x81, encoded, NEW), "313233343536363534333231"],
    ["RESET RETRY COUNTER", (encoded) => resetRetryCounter(0x81, encoded, NEW), "313233343536363534333231"],
  ])("%s", async (_, build, sent) => {
    if (pin.class !== "pin") throw new Error("no PIN");
    const card = new DataKeeper(outcome);
    const pieces: Uint8Array[] = [];
    const done = sendPin(card, pin, utf8("123456"), (encoded) => {
      pieces.push(encoded);
      return build(encoded);
    });
    await (outcome === "accepted" ? done : expect(done).rejects.toThrow(/2 tries are left|the reader is gone/u));
    expect(toHex(card.sent ?? new Uint8Array())).toBe(sent);
    // The encoded PIN, and the command's data, which may be another copy of it.
    expect(pieces).toEqual([new Uint8Array(6)]);
    expect(card.left).toEqual(new Uint8Array(sent.length / 2));
  });
});
