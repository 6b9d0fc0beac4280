import { expect, test } from "@jest/globals";
import { fromHex, fromUtf8, toHex } from "../../../src/bytes/index.ts";
import type { VirtualPivCard } from "../../../src/virtual/index.ts";
import { testCard } from "../keys.ts";

const SELECT_MANAGEMENT = "00a4040008a000000527471117";
const SELECT_PIV = "00a4040009a00000030800001000";

const send = async (card: VirtualPivCard, command: string): Promise<string> =>
  toHex(await card.transmit(fromHex(command)));

test("a YubiKey's management application tells version and device information", async () => {
  const card = await testCard({ yubico: true, serial: 0x01020304 });
  const greeting = await send(card, SELECT_MANAGEMENT);
  expect(fromUtf8(fromHex(greeting.slice(0, -4)))).toMatch(/^Virtual mgr - FW version 5\.7\.1$/u);
  expect(await send(card, "001d000000")).toBe(
    "21 01020010 03020010 0d020010 0e020010 020401020304 040100 0503050701 0a0100 9000".replaceAll(" ", ""),
  );
  expect(await send(card, "001d010000")).toBe("6a86");
});

test("PIV answers nothing while it is selected, and has forgotten the PIN afterwards", async () => {
  const card = await testCard({ yubico: true });
  expect(await send(card, "0020008008313233343536ffff")).toBe("9000");
  await send(card, SELECT_MANAGEMENT);
  expect(await send(card, "00200080")).toBe("6d00");
  expect(await send(card, SELECT_PIV)).toMatch(/9000$/u);
  expect(await send(card, "00200080")).toBe("63c3");
  expect(await send(card, "001d000000")).toBe("6d00");
});

test("another card has no such application", async () => {
  expect(await send(await testCard(), SELECT_MANAGEMENT)).toBe("6a82");
});

test("a YubiKey takes extended length unless it is made without", async () => {
  const command = "00cb3fff0000055c035fc1020000";
  expect(await send(await testCard({ yubico: true }), command)).toMatch(/^53.*9000$/u);
  expect(await send(await testCard({ yubico: true, extended: false }), command)).toBe("6700");
  expect(await send(await testCard(), command)).toBe("6700");
});
