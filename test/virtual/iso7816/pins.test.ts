import { beforeEach, describe, expect, test } from "@jest/globals";
import type { VirtualPkcs15Card } from "../../../src/virtual/index.ts";
import { exchange } from "../exchange.ts";
import { testPkcs15Card } from "../keys.ts";

const PIN = "313233343536FFFF";
const WRONG = "393939393939FFFF";
const NEW = "31313131FFFFFFFF";
const PUK = "3132333435363738";

let card: VirtualPkcs15Card;
beforeEach(async () => (card = await testPkcs15Card()));
const say = (command: string): Promise<string> => exchange(card, command);

describe("VERIFY", () => {
  test("without a PIN tells the state, and costs no try", async () => {
    expect(await say("00200001")).toBe("63C3");
    expect(await say(`0020000108${PIN}`)).toBe("9000");
    expect(await say("00200001")).toBe("9000");
    expect(await say("00200002")).toBe("63C3");
    expect(await say("00200009")).toBe("6A88");
  });

  test("a wrong PIN costs a try and what was open, until it is blocked", async () => {
    await say(`0020000108${PIN}`);
    expect(await say(`0020000108${WRONG}`)).toBe("63C2");
    expect(await say("00200001")).toBe("63C2");
    expect(await say(`0020000108${WRONG}`)).toBe("63C1");
    expect(await say(`0020000108${WRONG}`)).toBe("6983");
    expect(await say(`0020000108${PIN}`)).toBe("6983");
    expect(await say("0020000208363534333231FFFF")).toBe("9000");
  });

  test.each(["002E0001", "002E0000"])("%s makes the card forget", async (command) => {
    await say(`0020000108${PIN}`);
    expect(await say(command)).toBe("9000");
    expect(await say("00200001")).toBe("63C3");
  });

  test("a PIN of another length costs no try", async () => {
    expect(await say("002000010431323334")).toBe("6700");
    expect(await say("00200001")).toBe("63C3");
  });
});

describe("CHANGE REFERENCE DATA and RESET RETRY COUNTER", () => {
  test("a new PIN comes with the old one", async () => {
    expect(await say(`0024000110${WRONG}${NEW}`)).toBe("63C2");
    expect(await say(`0024000110${PIN}31FFFFFFFFFFFFFF`)).toBe("6A80");
    expect(await say(`0024000110${PIN}${NEW}`)).toBe("9000");
    expect(await say(`0020000108${NEW}`)).toBe("9000");
  });

  test("a new PIN comes with the PUK, whose tries count", async () => {
    for (let tries = 0; tries < 3; tries++) await say(`0020000108${WRONG}`);
    expect(await say(`002C000110${WRONG}${NEW}`)).toBe("63C2");
    expect(await say("00200003")).toBe("63C2");
    expect(await say(`002C000110${PUK}${NEW}`)).toBe("9000");
    expect(await say("00200001")).toBe("63C3");
    expect(await say(`0020000108${NEW}`)).toBe("9000");
    expect(await say(`002C000310${PUK}${PUK}`)).toBe("6985");
  });
});
