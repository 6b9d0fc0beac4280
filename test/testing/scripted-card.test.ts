import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import { MemoryReaders, ScriptedCard } from "../../src/testing/index.ts";

const send = (card: ScriptedCard, command: string): Promise<Uint8Array> => card.transmit(fromHex(command));

describe("a scripted card", () => {
  test("answers its script, command after command", async () => {
    const card = new ScriptedCard([
      ["00A4 0400 01 aa", "9000"],
      ["00b0000002", "0102 9000"],
    ]);
    expect(toHex(await send(card, "00a4040001aa"))).toBe("9000");
    expect(toHex(await send(card, "00b0000002"))).toBe("01029000");
    card.verify();
    expect(card.received).toEqual(["00a4040001aa", "00b0000002"]);
  });

  test("names the first unexpected command, also after others", async () => {
    const card = new ScriptedCard([["00b0000002", "9000"]]);
    await expect(send(card, "00b0000003")).rejects.toThrow(
      "unexpected command 1: 00b0000003 where the script has 00b0000002",
    );
    await expect(send(card, "00b0000004")).rejects.toThrow("unexpected command 2");
    expect(() => {
      card.verify();
    }).toThrow("unexpected command 1: 00b0000003");
  });

  test("names a command after the end of the script", async () => {
    const card = new ScriptedCard([]);
    await expect(send(card, "00b0000001")).rejects.toThrow(
      "unexpected command 1: 00b0000001 after the end of the script",
    );
  });

  test("names the command that did not come", () => {
    const card = new ScriptedCard([["00b0000002", "9000"]]);
    expect(() => {
      card.verify();
    }).toThrow("command 1 of the script did not come: 00b0000002");
  });

  test("shows no PIN", async () => {
    const card = new ScriptedCard([["00200080 04 31323334", "9000"]]);
    await expect(send(card, "002000800435363738")).rejects.toThrow(
      "unexpected command 1: 00200080** where the script has 00200080**",
    );
  });

  test("answers by a function, with its own answer to reset, in a reader", async () => {
    const card = new ScriptedCard((command) => Promise.resolve(Uint8Array.of(...command, 0x90, 0)), { atr: "3b 00" });
    const readers = new MemoryReaders();
    readers.plug("Reader");
    readers.insert("Reader", card);
    await using connection = await readers.client().connect("Reader");
    expect(toHex(connection.atr)).toBe("3b00");
    expect(toHex(await connection.transmit(fromHex("00b00000")))).toBe("00b000009000");
    expect(card.resets).toBe(1);
    card.verify();
  });

  test("that is asked what its script does not have fails the exchange", async () => {
    const readers = new MemoryReaders();
    readers.plug("Reader");
    readers.insert("Reader", new ScriptedCard([]));
    await using connection = await readers.client().connect("Reader");
    await expect(connection.transmit(fromHex("00b00000"))).rejects.toMatchObject({
      codeName: "SCARD_E_NOT_TRANSACTED",
      cause: { message: "unexpected command 1: 00b00000 after the end of the script" },
    });
  });
});
