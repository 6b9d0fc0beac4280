import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { type Pcsc, type ReaderState, openAddon, SCARD_DISPOSITION, SCARD_SHARE } from "../../src/pcsc/index.ts";
import { addonError } from "../../src/pcsc/addon/module.ts";
import { FakeService } from "./addon-fake.ts";
import { OK, T1_ATR } from "./scripted-card.ts";
import { turns, until } from "../until.ts";

const COMMAND = Uint8Array.of(0x00, 0xa4, 0x04, 0x00);
const READER = "Reader 00 00";
const PATIENCE = 60;

let service: FakeService;
let pcsc: Pcsc;

beforeEach(async () => {
  service = new FakeService();
  service.plug(READER);
  pcsc = await openAddon(service.module, { patience: PATIENCE });
});

afterEach(async () => {
  await pcsc.close();
  expect(service.threads).toBe(0);
});

function insert(): void {
  service.insert(READER, { atr: T1_ATR, answer: () => OK });
}

async function waitFor(wanted: (readers: readonly ReaderState[]) => boolean): Promise<void> {
  for await (const readers of pcsc.changes({ signal: AbortSignal.timeout(4000) })) if (wanted(readers)) return;
  throw new Error("the readers never came to be as they should");
}

describe("the addon", () => {
  test("is asked for with the line that installs it", async () => {
    await expect(openAddon()).rejects.toMatchObject({ codeName: "SCARD_E_NO_SERVICE" });
    await expect(openAddon()).rejects.toThrow("npm install pcsclite");
    await expect(openAddon({ other: "module" })).rejects.toThrow("not the npm package pcsclite");
  });

  test("is taken as it was loaded, as a function or as a module's default", async () => {
    const other = await openAddon({ default: service.module });
    expect(await other.readers()).toHaveLength(1);
    await other.close();
  });

  test("is told not to block when its context is made, and programs started later are not", async () => {
    await pcsc.readers();
    expect(service.blocking).toEqual(["1"]);
    expect(process.env["PCSCLITE_NO_BLOCKING"]).toBeUndefined();
  });

  test.each([
    ["SCardConnect error: No smart card inserted.(0x8010000c)", 0x8010000c, "SCARD_E_NO_SMARTCARD: no card"],
    ["SCardTransmit error: weird\r\n(0xffffffff80100069)", 0x80100069, "SCARD_W_REMOVED_CARD: "],
    ["SCardControl error: (0x80100022)", 0x8010001f, "SCARD_E_UNSUPPORTED_FEATURE: "],
    ["SCardTransmit error: bad stub(0x000006f7)", 0x6f7, "0x6f7: Error: SCardTransmit error: bad stub(0x000006f7)"],
    ["no code at all", 0x80100001, "SCARD_F_INTERNAL_ERROR: Error: no code at all"],
  ])("says in an error what it said: %s", (text, code, message) => {
    const cause = new Error(text);
    const error = addonError(cause);
    expect(error).toMatchObject({ code, cause });
    expect(error.message.startsWith(message)).toBe(true);
  });
});

describe("readers", () => {
  test("are listed with their cards", async () => {
    insert();
    expect(await pcsc.readers()).toEqual([
      { name: READER, unavailable: false, present: true, mute: false, sharing: undefined, events: 1, atr: T1_ATR },
    ]);
  });

  test("of a machine without any are none", async () => {
    service.unplug(READER);
    expect(await pcsc.readers()).toEqual([]);
    await expect(pcsc.connect(READER)).rejects.toMatchObject({ codeName: "SCARD_E_UNKNOWN_READER" });
  });

  test("and their cards come and go", async () => {
    await waitFor(([first]) => first?.present === false);
    insert();
    await waitFor(([first]) => first?.present === true && first.events === 1);
    service.plug("Second 01 00");
    await waitFor((readers) => readers.length === 2);
    service.unplug(READER);
    await waitFor((readers) => readers.length === 1);
  });

  test("that come back at once are seen", async () => {
    await waitFor((readers) => readers.length === 1);
    for (let round = 0; round < 3; round++) {
      service.unplug(READER);
      service.plug(READER);
      insert();
      await waitFor(([first]) => first?.present === true);
    }
  });

  test("are gone with the service and come back with it", async () => {
    insert();
    await waitFor((readers) => readers.length === 1);
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    await changes.next();
    service.stop();
    await waitFor((readers) => readers.length === 0);
    await expect(pcsc.readers()).rejects.toMatchObject({ codeName: "SCARD_E_NO_SERVICE" });
    await expect(pcsc.connect(READER)).rejects.toMatchObject({ codeName: "SCARD_E_NO_SERVICE" });
    service.running = true;
    await waitFor((readers) => readers.length === 1);
    await changes.return?.();
  });

  test("end with the refusal of a service that does not let this user in", async () => {
    service.forbidden = true;
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    await expect(changes.next()).rejects.toMatchObject({ codeName: "SCARD_W_SECURITY_VIOLATION" });
    service.forbidden = false;
    expect(await pcsc.readers()).toBeInstanceOf(Array);
  });

  test("are not asked for any more once all is closed", async () => {
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    await changes.next();
    const waiting = changes.next();
    await pcsc.close();
    expect(await waiting).toMatchObject({ done: true });
    await expect(pcsc.readers()).rejects.toMatchObject({ codeName: "SCARD_E_INVALID_HANDLE" });
  });
});

describe("a connection", () => {
  beforeEach(insert);

  test("carries commands, tells what it knows, and refuses what the addon cannot do", async () => {
    await using connection = await pcsc.connect(READER);
    expect(connection).toMatchObject({ reader: READER, protocol: 2, atr: T1_ATR });
    expect(await connection.transmit(COMMAND)).toEqual(OK);
    expect(await connection.attribute(0x00090303)).toEqual(T1_ATR);
    await expect(connection.attribute(1)).rejects.toMatchObject({ codeName: "SCARD_E_UNSUPPORTED_FEATURE" });
    await expect(connection.control(1, COMMAND)).rejects.toMatchObject({ codeName: "SCARD_E_UNSUPPORTED_FEATURE" });
    await expect(connection.transmit(new Uint8Array())).rejects.toMatchObject({
      codeName: "SCARD_E_INVALID_PARAMETER",
    });
    expect(await connection.alone()).toBe(false);
  });

  test("to the reader alone needs no card", async () => {
    service.insert(READER, undefined);
    await using connection = await pcsc.connect(READER, { share: SCARD_SHARE.DIRECT });
    expect(connection).toMatchObject({ protocol: 0, atr: new Uint8Array() });
  });

  test("has a native object of its own, which is used again after it", async () => {
    const made = service.made;
    for (let round = 0; round < 5; round++) {
      await using one = await pcsc.connect(READER);
      await using two = await pcsc.connect(READER);
      expect(await Promise.all([one.transmit(COMMAND), two.transmit(COMMAND)])).toEqual([OK, OK]);
    }
    // Two for the connections, one that watches.
    expect(service.made - made).toBe(3);
  });

  test("reconnects by disconnecting and connecting", async () => {
    await using connection = await pcsc.connect(READER);
    service.calls.length = 0;
    await connection.reconnect(1);
    expect(service.calls).toEqual(["disconnect 1", "connect 2"]);
    service.insert(READER, undefined);
    await expect(connection.reconnect()).rejects.toMatchObject({ codeName: "SCARD_E_NO_SMARTCARD" });
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_W_REMOVED_CARD" });
    insert();
    await connection.reconnect();
    expect(await connection.transmit(COMMAND)).toEqual(OK);
  });

  test("takes a fresh object where the service was started anew", async () => {
    await (await pcsc.connect(READER)).disconnect();
    service.stop();
    service.running = true;
    await using connection = await pcsc.connect(READER);
    expect(await connection.transmit(COMMAND)).toEqual(OK);
    await connection.disconnect();
    service.refusals.set("connect", 0x80100003);
    await expect(pcsc.connect(READER)).rejects.toMatchObject({ codeName: "SCARD_E_INVALID_HANDLE" });
  });

  test("a card pulled out before it could answer was removed", async () => {
    const connection = await pcsc.connect(READER);
    service.insert(READER, {
      atr: T1_ATR,
      answer: () => {
        // The service sees the card later than its exchange fails.
        // eslint-disable-next-line no-restricted-syntax
        setTimeout(() => service.refusals.set("probe", 0x80100069), 80);
        return new Uint8Array();
      },
    });
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_W_REMOVED_CARD" });
  });

  test("tells a reset that only an exchange shows, and goes on after a reconnect", async () => {
    const connection = await pcsc.connect(READER);
    service.refusals.set("transmit", 0x8010000f);
    const error = await connection.transmit(COMMAND).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ codeName: "SCARD_W_RESET_CARD", cause: { codeName: "SCARD_E_PROTO_MISMATCH" } });
    service.refusals.clear();
    await connection.reconnect();
    expect(await connection.transmit(COMMAND)).toEqual(OK);
  });

  test("given up in the middle of an exchange goes on when the addon is done", async () => {
    const connection = await pcsc.connect(READER);
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    const abort = new AbortController();
    const exchange = connection.transmit(COMMAND, { signal: abort.signal });
    await turns(5);
    abort.abort();
    await expect(exchange).rejects.toMatchObject({ codeName: "SCARD_E_CANCELLED" });
    const next = connection.transmit(COMMAND);
    service.held = undefined;
    release();
    expect(await next).toEqual(OK);
  });

  test("closes although an exchange has no answer", async () => {
    const connection = await pcsc.connect(READER);
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    const pending = connection.transmit(COMMAND).catch((error: unknown) => error);
    await connection.disconnect();
    expect(await pending).toMatchObject({ codeName: "SCARD_E_CANCELLED" });
    service.held = undefined;
    release();
  });

  test("gives an exchange without an answer up in time, and the connection with it", async () => {
    const impatient = await openAddon(service.module, { exchangeTimeout: 10 });
    const connection = await impatient.connect(READER);
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_E_TIMEOUT" });
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_E_INVALID_HANDLE" });
    service.held = undefined;
    release();
    await impatient.close();
  });

  test("a control command has the time that it says itself", async () => {
    const patient = await openAddon(service.module, { exchangeTimeout: 60_000, longExchangeTimeout: 60_000 });
    const connection = await patient.connect(READER);
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    const call = connection.control(1, COMMAND, { answersWithin: 20 });
    await expect(call).rejects.toThrow("did not answer for 0.02 seconds");
    service.held = undefined;
    release();
    await patient.close();
  });

  test("does not wait for ever to connect, and lets go of what comes too late", async () => {
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    await expect(pcsc.connect(READER)).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    release();
    await until(() => service.calls.length === 2);
    expect(service.calls).toEqual(["connect 2", "disconnect 0"]);
  });
});

describe("a transaction", () => {
  beforeEach(insert);

  test("keeps other connections of this process away", async () => {
    await using one = await pcsc.connect(READER);
    const elsewhere = await openAddon(service.module, { patience: PATIENCE });
    await using two = await elsewhere.connect(READER);
    await one.begin();
    await one.begin();
    await expect(two.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    await expect(two.end()).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    await one.end();
    const waiting = two.transmit(COMMAND);
    await one.end();
    expect(await waiting).toEqual(OK);
    await expect(one.end()).rejects.toMatchObject({ codeName: "SCARD_E_NOT_TRANSACTED" });
    await elsewhere.close();
  });

  test("notices that another program has the card, has reset it, or holds up the addon", async () => {
    await using connection = await pcsc.connect(READER);
    service.refusals.set("probe", 0x8010000b);
    await expect(connection.begin()).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    const patient = connection.begin();
    // Another program ends its transaction meanwhile.
    // eslint-disable-next-line no-restricted-syntax
    setTimeout(() => {
      service.refusals.clear();
    }, 15);
    await patient;
    await connection.end();
    service.refusals.set("probe", 0x80100068);
    await expect(connection.begin()).rejects.toMatchObject({ codeName: "SCARD_W_RESET_CARD" });
    service.refusals.clear();
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    await expect(connection.begin()).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    release();
    service.held = undefined;
    await connection.begin();
    await connection.end();
  });

  test("that the addon holds up lets nothing through that was given up meanwhile", async () => {
    const connection = await pcsc.connect(READER);
    let release = (): void => undefined;
    service.held = new Promise<void>((resolve) => (release = resolve));
    await expect(connection.begin()).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    service.calls.length = 0;
    await expect(connection.transmit(COMMAND, { signal: AbortSignal.timeout(10) })).rejects.toThrow(
      "SCARD_E_CANCELLED",
    );
    service.held = undefined;
    release();
    await connection.begin();
    expect(service.calls.filter((call) => call.startsWith("transmit"))).toEqual([]);
  });

  test("that ends with a reset wants a reconnect, of its owner too", async () => {
    await using connection = await pcsc.connect(READER);
    await connection.begin();
    service.calls.length = 0;
    await connection.end(SCARD_DISPOSITION.RESET_CARD);
    expect(service.calls).toEqual(["disconnect 1", "connect 2"]);
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_W_RESET_CARD" });
    await connection.reconnect();
    expect(await connection.transmit(COMMAND)).toEqual(OK);
  });

  test("ends with its client, and the card is reset", async () => {
    const connection = await pcsc.connect(READER);
    await connection.begin();
    service.calls.length = 0;
    await pcsc.close();
    expect(service.calls).toEqual(["disconnect 1"]);
    await expect(connection.transmit(COMMAND)).rejects.toMatchObject({ codeName: "SCARD_E_INVALID_HANDLE" });
  });
});
