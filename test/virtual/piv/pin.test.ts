import { describe, expect, test } from "@jest/globals";
import { exchange } from "../exchange.ts";
import { testCard } from "../keys.ts";

const RIGHT = "313233343536FFFF";
const WRONG = "393939393939FFFF";
const NEW = "363534333231FFFF";
const PUK = "3132333435363738";
const verify = (pin: string): string => `0020008008${pin}`;
const STATUS = "00200080";

describe("VERIFY (SP 800-73-4 part 2 section 3.2.1)", () => {
  test("counts down to blocked, and a right PIN brings back all tries", async () => {
    const card = await testCard();
    expect(await exchange(card, STATUS)).toBe("63C3");
    expect(await exchange(card, verify(WRONG))).toBe("63C2");
    expect(await exchange(card, verify(RIGHT))).toBe("9000");
    expect(await exchange(card, STATUS)).toBe("9000");
    for (const left of ["63C2", "63C1", "63C0", "6983", "6983"]) expect(await exchange(card, verify(WRONG))).toBe(left);
    expect(await exchange(card, verify(RIGHT))).toBe("6983");
    expect(await exchange(card, STATUS)).toBe("63C0");
  });

  test("a wrong PIN takes back what a right one opened", async () => {
    const card = await testCard();
    await exchange(card, verify(RIGHT));
    await exchange(card, verify(WRONG));
    expect(await exchange(card, STATUS)).toBe("63C2");
  });

  test.each([
    ["too short", "3132333435FFFFFF"],
    ["letters", "616263646566FFFF"],
    ["filled up in the middle", "3132FF333435FFFF"],
    ["filled up with zeros", "3132333435360000"],
    ["all padding", "FFFFFFFFFFFFFFFF"],
  ])("a PIN that is %s costs no try, and changes nothing", async (_what, pin) => {
    const card = await testCard();
    expect(await exchange(card, verify(pin))).toBe("6A80");
    expect(await exchange(card, STATUS)).toBe("63C3");
    await exchange(card, verify(RIGHT));
    expect(await exchange(card, verify(pin))).toBe("6A80");
    expect(await exchange(card, STATUS)).toBe("9000");
  });

  test.each([
    ["seven bytes", "002000800731323334353637", "6A80"],
    ["an unknown reference", `0020008108${RIGHT}`, "6A88"],
    ["biometrics", "00200096", "6A88"],
    ["the global PIN where it counts for nothing", `0020000008${RIGHT}`, "6A88"],
    ["other parameters", `0020018008${RIGHT}`, "6A86"],
    ["forgetting with data", `0020FF8008${RIGHT}`, "6A80"],
  ])("refuses %s", async (_what, command, status) => {
    const card = await testCard();
    expect(await exchange(card, command)).toBe(status);
    expect(await exchange(card, STATUS)).toBe("63C3");
  });

  test("P1 FF forgets the PIN and leaves the counter", async () => {
    const card = await testCard();
    await exchange(card, verify(WRONG));
    expect(await exchange(card, "0020FF80")).toBe("9000");
    expect(await exchange(card, STATUS)).toBe("63C2");
    await exchange(card, verify(RIGHT));
    expect(await exchange(card, "0020FF80")).toBe("9000");
    expect(await exchange(card, STATUS)).toBe("63C3");
  });

  test("reset forgets the PIN, and keeps the counter", async () => {
    const card = await testCard();
    await exchange(card, verify(RIGHT));
    card.reset();
    expect(await exchange(card, STATUS)).toBe("63C3");
    await exchange(card, verify(WRONG));
    card.reset();
    expect(await exchange(card, STATUS)).toBe("63C2");
  });

  test("the global PIN opens the card where the discovery object says so", async () => {
    const card = await testCard({ pinUsage: "global-then-application", globalPin: "87654321", tries: 5 });
    const READ = "00CB3FFF055C035FC10900";
    expect(await exchange(card, "00200000")).toBe("63C5");
    expect(await exchange(card, READ)).toBe("6982");
    expect(await exchange(card, "00200000083837363534333231")).toBe("9000");
    expect(await exchange(card, READ)).toMatch(/9000$/u);
    expect(await exchange(card, STATUS)).toBe("63C5");
    expect(await exchange(card, "0020FF00")).toBe("9000");
    expect(await exchange(card, READ)).toBe("6982");
  });
});

describe("CHANGE REFERENCE DATA (SP 800-73-4 part 2 section 3.2.2)", () => {
  test("changes the PIN against the old one, which is verified by it", async () => {
    const card = await testCard();
    expect(await exchange(card, `0024008010${RIGHT}${NEW}`)).toBe("9000");
    expect(await exchange(card, STATUS)).toBe("9000");
    expect(await exchange(card, verify(RIGHT))).toBe("63C2");
    expect(await exchange(card, verify(NEW))).toBe("9000");
  });

  test("a wrong old PIN costs a try; a new one that cannot be costs none", async () => {
    const card = await testCard();
    expect(await exchange(card, `0024008010${WRONG}${NEW}`)).toBe("63C2");
    expect(await exchange(card, `0024008010${RIGHT}3132333435FFFFFF`)).toBe("6A80");
    expect(await exchange(card, `002400800F${RIGHT}36353433323100`)).toBe("6A80");
    expect(await exchange(card, STATUS)).toBe("63C2");
  });

  test("changes the PUK, which opens nothing by itself", async () => {
    const card = await testCard();
    expect(await exchange(card, `0024008110${PUK}0102030405060708`)).toBe("9000");
    expect(await exchange(card, STATUS)).toBe("63C3");
    expect(await exchange(card, `002C008010${PUK}${NEW}`)).toBe("63C2");
    expect(await exchange(card, `002C0080100102030405060708${NEW}`)).toBe("9000");
    expect(await exchange(card, verify(NEW))).toBe("9000");
  });

  test("knows no other reference and no other parameters", async () => {
    const card = await testCard();
    expect(await exchange(card, `0024008210${RIGHT}${NEW}`)).toBe("6A88");
    expect(await exchange(card, `0024000010${RIGHT}${NEW}`)).toBe("6A88");
    expect(await exchange(card, `0024018010${RIGHT}${NEW}`)).toBe("6A86");
  });
});

describe("RESET RETRY COUNTER (SP 800-73-4 part 2 section 3.2.3)", () => {
  test("gives a blocked PIN a new value and all its tries, and verifies nothing", async () => {
    const card = await testCard();
    for (let i = 0; i < 3; i++) await exchange(card, verify(WRONG));
    expect(await exchange(card, `002C008010${PUK}${NEW}`)).toBe("9000");
    expect(await exchange(card, STATUS)).toBe("63C3");
    expect(await exchange(card, verify(NEW))).toBe("9000");
  });

  test("blocks the PUK after its tries, over resets", async () => {
    const card = await testCard();
    for (const left of ["63C2", "63C1", "63C0", "6983"]) {
      expect(await exchange(card, `002C0080103030303030303030${NEW}`)).toBe(left);
      card.reset();
    }
    expect(await exchange(card, `002C008010${PUK}${NEW}`)).toBe("6983");
    expect(await exchange(card, verify(RIGHT))).toBe("9000");
  });

  test("a wrong PUK takes back a verified PIN, as the standard has it", async () => {
    const card = await testCard();
    await exchange(card, verify(RIGHT));
    await exchange(card, `002C0080103030303030303030${NEW}`);
    expect(await exchange(card, STATUS)).toBe("63C3");
  });

  test("a new PIN that cannot be costs no try", async () => {
    const card = await testCard();
    for (let i = 0; i < 4; i++) {
      expect(await exchange(card, `002C008010${PUK}3132333435FFFFFF`)).toBe("6A80");
    }
    expect(await exchange(card, `002C00810F${PUK}36353433323100`)).toBe("6A88");
    expect(await exchange(card, `002C008010${PUK}${NEW}`)).toBe("9000");
  });
});
