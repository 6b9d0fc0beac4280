import { describe, expect, jest, test } from "@jest/globals";
import { concat, equalBytes, fromHex, toHex } from "../../../src/bytes/index.ts";
import { MemoryReaders } from "../../../src/pcsc/index.ts";
import { plugIn } from "../virtual/plugged.ts";
import { startLibcacard } from "./libcacard.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const SELECT_CCC = fromHex("00a4040007a000000116db00");
const CARD_ID = "705072360e000058bd002c19b5";

describe("the rig of libcacard", () => {
  test("is a card in a reader of this process, and in one of pcscd", async () => {
    await using card = await startLibcacard();
    expect(card.certificates).toHaveLength(3);

    const readers = new MemoryReaders();
    readers.plug("Reader");
    readers.insert("Reader", card);
    await using connection = await readers.client().connect("Reader");
    expect(toHex(await connection.transmit(SELECT_CCC))).toMatch(/^61/u);

    await using plugged = await plugIn(card, "Virtual PCD");
    expect(await plugged.succeed("pkcs11-tool", "-L")).toContain(CARD_ID.slice(-16));
    const der = await plugged.succeed("pkcs15-tool", "--read-certificate", "0001");
    const pem = Buffer.from(der.replace(/-----.*-----/gu, ""), "base64");
    expect(equalBytes(concat(pem), card.certificates[0] ?? new Uint8Array())).toBe(true);
  });

  test("tells when its process has ended", async () => {
    const card = await startLibcacard();
    await card[Symbol.asyncDispose]();
    await expect(card.transmit(SELECT_CCC)).rejects.toThrow("has ended");
  });
});
