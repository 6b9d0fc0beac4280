import { once } from "node:events";
import { createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { plugIntoVpcd, type VirtualCard, VpcdError } from "../../src/virtual/index.ts";
import { encodeFrame, FrameReader } from "../../src/virtual/vpcd.ts";

/** Answers with what it was sent, and counts resets. */
class EchoCard implements VirtualCard {
  readonly atr = fromHex("3B8001");
  resets = 0;

  reset(): void {
    this.resets++;
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return Promise.resolve(concat(command, fromHex("9000")));
  }
}

describe("frames", () => {
  test("come out whole however the stream was cut", () => {
    const message = fc.uint8Array({ minLength: 1, maxLength: 600 });
    fc.assert(
      fc.property(fc.array(message, { maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (messages, size) => {
        const stream = concat(...messages.map(encodeFrame));
        const reader = new FrameReader();
        const read: Uint8Array[] = [];
        for (let at = 0; at < stream.length; at += size) read.push(...reader.push(stream.slice(at, at + size)));
        expect(read.map((bytes) => toHex(bytes))).toEqual(messages.map((bytes) => toHex(bytes)));
      }),
    );
  });

  test("are never empty, and never longer than their length says", () => {
    expect(() => encodeFrame(new Uint8Array())).toThrow(DataError);
    expect(() => encodeFrame(new Uint8Array(65_536))).toThrow(DataError);
  });
});

describe("a card in a virtual reader", () => {
  let server: Server;
  let port: number;
  const card = new EchoCard();

  beforeEach(async () => {
    server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    ({ port } = server.address() as AddressInfo);
    card.resets = 0;
  });
  afterEach(() => {
    server.close();
  });

  async function accept(): Promise<Socket> {
    const [socket] = (await once(server, "connection")) as [Socket];
    return socket;
  }

  async function ask(reader: Socket, ...frames: string[]): Promise<string> {
    const answer = once(reader, "data") as Promise<[Buffer]>;
    for (const frame of frames) reader.write(fromHex(frame));
    return toHex((await answer)[0]);
  }

  test("answers ATR and APDUs, and is reset by power and reset, which have no answer", async () => {
    const accepted = accept();
    await using plug = await plugIntoVpcd(card, { port });
    const reader = await accepted;
    expect(await ask(reader, "000104")).toBe("00033b8001");
    const before = card.resets;
    expect(await ask(reader, "000101", "000102", "000103", "0005 00A4040000")).toBe("000700a40400009000");
    expect(card.resets).toBe(before + 2);
    await plug.remove();
    expect(card.resets).toBe(before + 3);
  });

  test("is out when the reader closes", async () => {
    const accepted = accept();
    const plug = await plugIntoVpcd(card, { port });
    (await accepted).destroy();
    await expect(plug.removed).resolves.toBeUndefined();
    await plug.remove();
  });

  test("is out when it fails itself", async () => {
    const broken: VirtualCard = {
      atr: card.atr,
      reset: () => undefined,
      transmit: () => Promise.reject(new DataError("no")),
    };
    const accepted = accept();
    const plug = await plugIntoVpcd(broken, { port });
    (await accepted).write(fromHex("0002 00A4"));
    await expect(plug.removed).rejects.toThrow(VpcdError);
  });

  test("is taken out by its signal", async () => {
    const abort = new AbortController();
    const accepted = accept();
    const plug = await plugIntoVpcd(card, { port, signal: abort.signal });
    const reader = await accepted;
    const closed = once(reader.resume(), "close");
    abort.abort();
    await plug.removed;
    await closed;
  });

  test("tells what to do when there is no reader", async () => {
    server.close();
    await expect(plugIntoVpcd(card, { port })).rejects.toThrow(VpcdError);
    await expect(plugIntoVpcd(card, { port })).rejects.toThrow(/start pcscd with the vpcd driver/u);
  });

  test("is not plugged in with a signal that has aborted", async () => {
    await expect(plugIntoVpcd(card, { port, signal: AbortSignal.abort() })).rejects.toThrow("aborted");
  });
});
