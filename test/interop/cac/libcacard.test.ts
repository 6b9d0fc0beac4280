import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, expect, jest, test } from "@jest/globals";
import { concat, equalBytes, fromHex, toHex } from "../../../src/bytes/index.ts";
import { MemoryReaders, Pcscd } from "../../../src/pcsc/index.ts";
import { startPcscd } from "../rig/pcscd.ts";
import { run } from "../rig/run.ts";
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

  test("stays in a reader of pcscd until the program that put it there is stopped", async () => {
    await using daemon = await startPcscd();
    const main = fileURLToPath(new URL("plug-main.ts", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", main, String(daemon.port)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    try {
      const said = await Promise.race([once(child.stdout, "data"), ended]);
      expect(String(said[0])).toContain("is in the reader");
      await using pcsc = new Pcscd({ socket: daemon.socketPath });
      for await (const readers of pcsc.changes()) if (readers.some(({ atr }) => atr.length > 0)) break;
      const { stdout } = await run("pkcs11-tool", ["-L"], { env: daemon.env });
      expect(stdout).toContain(CARD_ID.slice(-16));
    } finally {
      child.kill("SIGINT");
    }
    expect(await ended).toEqual([0, null]);
  });

  test("tells when its process has ended", async () => {
    const card = await startLibcacard();
    await card[Symbol.asyncDispose]();
    await expect(card.transmit(SELECT_CCC)).rejects.toThrow("has ended");
  });
});
