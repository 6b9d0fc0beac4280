import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { UnsupportedError } from "../../src/card/index.ts";
import { testCard } from "../virtual/keys.ts";
import { bench, claim, privateKey } from "./rig.ts";

const PIN = utf8("123456");
const NEW = utf8("6543210");
const PUK = utf8("12345678");
/** A discovery object that names the global PIN as the one that the cardholder uses (SP 800-73-4 part 1 section 3.3.2). */
const GLOBAL_PRIMARY = fromHex("4f0ba000000308000010000100 5f2f026020");

describe("changing the PIN", () => {
  test("is one command with both, filled up with FF", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await token.changePin?.("user", PIN, NEW);
    expect(rig.commands.at(-1)).toBe(`0024008010${toHex(PIN)}ffff${toHex(NEW)}ff`);
    await expect(token.login("user", PIN)).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    await token.login("user", NEW);
  });

  test("keeps a login; a wrong old PIN ends it, as the card does", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    const key = await privateKey(token, 1);
    const input = new Uint8Array(256).fill(1);
    await token.login("user", PIN);
    await token.changePin?.("user", PIN, NEW);
    await token.use(key, "rsa-raw", input);
    await expect(token.changePin?.("user", PIN, NEW)).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    await expect(token.use(key, "rsa-raw", input)).rejects.toMatchObject({ name: "LoginRequiredError" });
  });

  test("is of the global PIN where the card says that its holder uses that", async () => {
    const rig = bench(await testCard({ objects: new Map([[0x7e, GLOBAL_PRIMARY]]), globalPin: "111111" }));
    const { token } = await claim(rig);
    await token.changePin?.("user", utf8("111111"), NEW);
    expect(rig.commands.at(-1)).toMatch(/^0024000010/u);
    await token.login("user", NEW);
    await expect(token.unlockPin?.(PUK, NEW)).rejects.toBeInstanceOf(UnsupportedError);
  });

  test("a card's own rule on PINs costs no try", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await expect(token.changePin?.("user", PIN, utf8("abcdef"))).rejects.toMatchObject({ reason: "unacceptable" });
    expect((await token.pinStatus("user")).triesLeft).toBe(3);
  });
});

describe("the PUK", () => {
  test("is changed, and unblocks the PIN", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await token.changePin?.("puk", PUK, utf8("87654321"));
    for (let turn = 0; turn < 3; turn++) await token.login("user", NEW).catch(() => undefined);
    expect((await token.pinStatus("user")).triesLeft).toBe(0);
    await expect(token.unlockPin?.(PUK, NEW)).rejects.toMatchObject({ reason: "incorrect", triesLeft: 2 });
    await token.unlockPin?.(utf8("87654321"), NEW);
    expect(rig.commands.at(-1)).toBe(`002c008010${toHex(utf8("87654321"))}${toHex(NEW)}ff`);
    await token.login("user", NEW);
  });

  test("blocks as a PIN does", async () => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    for (let turn = 0; turn < 2; turn++) await token.unlockPin?.(NEW, NEW).catch(() => undefined);
    for (let turn = 0; turn < 3; turn++) await token.unlockPin?.(utf8("00000000"), NEW).catch(() => undefined);
    await expect(token.unlockPin?.(PUK, NEW)).rejects.toMatchObject({
      reason: "blocked",
      triesLeft: 0,
      message: expect.stringContaining("issuer"),
    });
  });

  test.each(["12345", "123456789"])("%j never reaches the card", async (puk) => {
    const rig = bench(await testCard());
    const { token } = await claim(rig);
    await token.pinStatus("user");
    const before = rig.commands.length;
    await expect(token.unlockPin?.(utf8(puk), NEW)).rejects.toMatchObject({ reason: "length" });
    await expect(token.unlockPin?.(PUK, utf8(puk))).rejects.toMatchObject({ reason: "length" });
    expect(rig.commands).toHaveLength(before);
  });
});
