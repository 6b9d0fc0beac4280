import { createCipheriv } from "node:crypto";
import { expect } from "@jest/globals";
import { fromHex, toHex } from "../../../src/bytes/index.ts";
import type { VirtualPivCard } from "../../../src/virtual/index.ts";
import { exchange } from "../exchange.ts";

/** External authentication with the well-known 3DES key. */
export async function authenticate(card: VirtualPivCard): Promise<void> {
  const challenge = (await exchange(card, "0087039B047C02810000")).slice(8, 24);
  const cipher = createCipheriv("des-ede3-ecb", fromHex("0102030405060708".repeat(3)), null).setAutoPadding(false);
  expect(await exchange(card, `0087039B0C7C0A8208${toHex(cipher.update(fromHex(challenge)))}`)).toBe("9000");
}
