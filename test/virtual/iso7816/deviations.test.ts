import { describe, expect, test } from "@jest/globals";
import { DataError } from "../../../src/bytes/index.ts";
import { decodeImage } from "../../../src/virtual/iso7816/image.ts";
import { ISO7816_DEVIATIONS, type Iso7816Deviation, type VirtualCard } from "../../../src/virtual/index.ts";
import { exchange } from "../exchange.ts";
import { testPkcs15Card } from "../keys.ts";

const VERIFY = "0020000108313233343536FFFF";
const deviant = (...deviations: Iso7816Deviation[]): Promise<VirtualCard> => testPkcs15Card({ deviations });

describe("a card that deviates", () => {
  test("by empty-end-of-file answers 9000 without data where a file ends, and 6B00 behind it", async () => {
    const card = await deviant("empty-end-of-file");
    await exchange(card, "00A4080C022F00");
    expect(await exchange(card, "00B0008000")).toBe("9000");
    expect(await exchange(card, "00B0008100")).toBe("6B00");
  });

  test("by logout-refused keeps the PIN verified", async () => {
    const card = await deviant("logout-refused");
    expect(await exchange(card, VERIFY)).toBe("9000");
    expect(await exchange(card, "002E0001")).toBe("6A86");
    expect(await exchange(card, "00200001")).toBe("9000");
  });

  test("by no-chaining takes no first part of a chain", async () => {
    const card = await deviant("no-chaining");
    expect(await exchange(card, "10A4080C022F00")).toBe("6884");
    expect(await exchange(card, "00A4080C022F00")).toBe("9000");
  });

  test("by no-get-response gives an answer whole or not at all", async () => {
    const card = await deviant("no-get-response");
    expect(await exchange(card, "00A40800022F00")).toBe("6C00");
    expect(await exchange(card, "00A40800022F0000")).toMatch(/9000$/u);
    expect(await exchange(card, "00C0000000")).toBe("6D00");
  });

  test("by pin-status-refused tells no tries, and counts them all the same", async () => {
    const card = await deviant("pin-status-refused");
    expect(await exchange(card, "00200001")).toBe("6700");
    expect(await exchange(card, "0020000108393939393939FFFF")).toBe("63C2");
    expect(await exchange(card, VERIFY)).toBe("9000");
    expect(await exchange(card, "00200001")).toBe("6700");
  });

  test("by five-pin-tries has five tries, and by long-serial-number 16 bytes in TokenInfo", async () => {
    const card = await deviant("five-pin-tries", "long-serial-number");
    expect(await exchange(card, "00200001")).toBe("63C5");
    await exchange(card, "00A4080C0450155032");
    expect(await exchange(card, "00B0000000")).toContain(`0410${"10".repeat(8)}`);
  });

  test("by gzip-certificates keeps certificates compressed", async () => {
    const card = await deviant("gzip-certificates");
    await exchange(card, "00A4080C0450154301");
    expect(await exchange(card, "00B0000000")).toMatch(/^1F8B/u);
  });

  test("by puk-not-listed has PUKs that no entry names", async () => {
    const card = await deviant("puk-not-listed");
    await exchange(card, "00A4080C0450154401");
    expect(await exchange(card, "00B0000000")).not.toContain("50554B"); // "PUK"
    expect(await exchange(card, `002C0001103132333435363738363534333231FFFF`)).toBe("9000");
  });
});

test("what a card's deviations are stands in its file, and no other name does", async () => {
  const image = (await testPkcs15Card({ deviations: ["no-chaining", "logout-refused"] })).image();
  expect(decodeImage(image).traits.deviations).toEqual(["no-chaining", "logout-refused"]);
  expect(() => decodeImage(image.replace("no-chaining", "no-manners"))).toThrow(
    /deviations: not one of short-rsa-answers/u,
  );
  expect((await testPkcs15Card()).image()).not.toContain("deviations");
  const wrong = { deviations: ["no-manners" as Iso7816Deviation] };
  await expect(testPkcs15Card(wrong)).rejects.toThrow(new DataError('PKCS #15 card: no deviation "no-manners"'));
});

test("each has a line that says what it is", () => {
  for (const [name, line] of Object.entries(ISO7816_DEVIATIONS)) {
    expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)+$/u);
    expect(line).toMatch(/^.{20,140}$/u);
  }
});
