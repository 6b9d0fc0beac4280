import { describe, expect, test } from "@jest/globals";
import { translatePcscErrors } from "../../src/card/errors.ts";
import {
  Card,
  CardAccessError,
  CardBusyError,
  CardCancelledError,
  CardGoneError,
  CardResetError,
  connectCard,
} from "../../src/card/index.ts";
import { fromHex } from "../../src/bytes/index.ts";
import { MemoryReaders, PcscError, type ScardErrorName } from "../../src/pcsc/index.ts";

describe("an error of PC/SC is told as what it means for the card", () => {
  test.each<[ScardErrorName, typeof CardAccessError]>([
    ["SCARD_W_REMOVED_CARD", CardGoneError],
    ["SCARD_E_READER_UNAVAILABLE", CardGoneError],
    ["SCARD_E_SERVICE_STOPPED", CardGoneError],
    ["SCARD_E_SHARING_VIOLATION", CardBusyError],
    ["SCARD_E_CANCELLED", CardCancelledError],
    ["SCARD_W_RESET_CARD", CardResetError],
    ["SCARD_E_NOT_TRANSACTED", CardAccessError],
  ])("%s", async (code, Told) => {
    const cause = new PcscError(code);
    const told = await translatePcscErrors(Promise.reject(cause)).catch((error: unknown) => error);
    expect(told).toBeInstanceOf(Told);
    expect(told).toMatchObject({ message: cause.message, cause, name: Told.name });
  });

  test("one of another kind stays as it is", async () => {
    const error = new TypeError("a mistake");
    await expect(translatePcscErrors(Promise.reject(error))).rejects.toBe(error);
  });
});

describe("a card", () => {
  const READER = "Memory Reader";
  const silent = { atr: fromHex("3b00"), reset: () => undefined, transmit: () => Promise.resolve(fromHex("9000")) };
  const COMMAND = { cla: 0, ins: 0xca, p1: 0, p2: 0 };

  test("that was taken out, or never was there, is gone", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    const pcsc = readers.client();
    await expect(connectCard(pcsc, READER)).rejects.toBeInstanceOf(CardGoneError);
    readers.insert(READER, silent);
    await using card = await connectCard(pcsc, READER);
    readers.eject(READER);
    await expect(card.exclusively((channel) => channel.send(COMMAND))).rejects.toBeInstanceOf(CardGoneError);
  });

  test("that another program keeps is busy, and one whose caller gave up is not waited for", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, silent);
    const pcsc = readers.client({ patience: 20 });
    await using card = await connectCard(pcsc, READER);
    await using other = await pcsc.connect(READER);
    await other.begin();
    const send = (signal?: AbortSignal): Promise<unknown> =>
      card.exclusively((channel) => channel.send(COMMAND), { signal });
    await expect(send()).rejects.toBeInstanceOf(CardBusyError);
    await expect(send(AbortSignal.abort())).rejects.toBeInstanceOf(CardCancelledError);
    await other.end();
    await expect(send()).resolves.toMatchObject({ sw: 0x9000 });
  });

  test("that is reset in the middle says so, and is taken up by the next call", async () => {
    const readers = new MemoryReaders();
    readers.plug(READER);
    readers.insert(READER, {
      ...silent,
      transmit: () => Promise.reject(new PcscError("SCARD_W_RESET_CARD")),
    });
    await using card = new Card(await readers.client().connect(READER));
    await expect(card.exclusively((channel) => channel.send(COMMAND))).rejects.toBeInstanceOf(CardResetError);
  });
});
