import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  ATTRIBUTE,
  BEGIN,
  CONNECT,
  CONTROL,
  CONTROL_REPLY,
  DISCONNECT,
  END,
  ESTABLISH,
  READER,
  RECONNECT,
  SIGNAL,
  type Struct,
  TRANSMIT,
  TRANSMIT_REPLY,
  VERSION,
} from "../../src/pcsc/pcscd/protocol.ts";
import { readerState } from "../../src/pcsc/pcscd/session.ts";
import { readerRecord } from "./pcscd-fake.ts";

/** `sizeof` of each struct in winscard_msg.h and eventhandler.h. */
const STRUCTS: readonly (readonly [string, number, Struct<never>])[] = (
  [
    ["version", 12, VERSION],
    ["establish", 12, ESTABLISH],
    ["connect", 152, CONNECT],
    ["reconnect", 24, RECONNECT],
    ["disconnect", 12, DISCONNECT],
    ["begin", 8, BEGIN],
    ["end", 12, END],
    ["transmit", 32, TRANSMIT],
    ["control", 24, CONTROL],
    ["attribute", 280, ATTRIBUTE],
    ["signal", 8, SIGNAL],
    ["reader", 184, READER],
  ] as const
).map(([name, size, struct]) => [name, size, struct as unknown as Struct<never>]);

const u32 = fc.nat(0xffff_ffff);
const i32 = fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff });
/** Names as C has them: no zero byte, room for one. */
const name = fc
  .string({ unit: "grapheme", maxLength: 60 })
  .filter((text) => !text.includes("\0") && !text.startsWith("\ufeff") && Buffer.byteLength(text) < 128);

function roundTrip<T extends object>(struct: Struct<T>, values: T): T {
  const bytes = new Uint8Array(struct.size + 4);
  struct.encodeInto(bytes, 4, values);
  return struct.decode(bytes.subarray(4));
}

describe("structs of the pcscd protocol", () => {
  test.each(STRUCTS)("%s has %d bytes, and any bytes of that many decode", (_, size, struct) => {
    expect(struct.size).toBe(size);
    fc.assert(
      fc.property(fc.uint8Array({ minLength: size, maxLength: size }), (bytes) => {
        expect(() => struct.decode(bytes)).not.toThrow();
      }),
    );
  });

  test.each(STRUCTS)("%s refuses any other number of bytes", (_, size, struct) => {
    fc.assert(
      fc.property(fc.nat(size - 1), (length) => {
        expect(() => struct.decode(new Uint8Array(length))).toThrow(/: \d+ bytes needed at \d+, \d+ left$/u);
      }),
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), (surplus) => {
        expect(() => struct.decode(new Uint8Array(size + surplus))).toThrow(`: ${surplus} bytes too many at ${size}`);
      }),
    );
  });

  test("connect comes back as it was written", () => {
    const connect = fc.record({
      context: u32,
      reader: name,
      share: u32,
      protocols: u32,
      card: u32,
      protocol: u32,
      rv: u32,
    });
    fc.assert(
      fc.property(connect, (values) => {
        expect(roundTrip(CONNECT, values)).toEqual(values);
      }),
    );
  });

  test("transmit comes back as it was written", () => {
    const transmit = fc.record({
      card: u32,
      sendProtocol: u32,
      sendPciLength: u32,
      sendLength: u32,
      receiveProtocol: u32,
      receivePciLength: u32,
      receiveLength: u32,
      rv: u32,
    });
    fc.assert(
      fc.property(transmit, (values) => {
        expect(roundTrip(TRANSMIT, values)).toEqual(values);
      }),
    );
  });

  test("a reader's record comes back as it was written", () => {
    const reader = fc.record({
      name,
      events: u32,
      state: u32,
      sharing: i32,
      atr: fc.uint8Array({ minLength: 33, maxLength: 33 }),
      gap: fc.constant(new Uint8Array(3)),
      atrLength: u32,
      protocol: u32,
    });
    fc.assert(
      fc.property(reader, (values) => {
        expect(roundTrip(READER, values)).toEqual(values);
      }),
    );
  });

  test("a text that leaves no room for its final zero byte is refused", () => {
    expect(() => roundTrip(CONNECT, { ...CONNECT.decode(new Uint8Array(152)), reader: "x".repeat(128) })).toThrow(
      "128 bytes of text do not fit into 128",
    );
  });

  test("bytes longer than their field are refused", () => {
    expect(() =>
      roundTrip(ATTRIBUTE, { ...ATTRIBUTE.decode(new Uint8Array(280)), value: new Uint8Array(265) }),
    ).toThrow("265 bytes do not fit into 264");
  });

  test("an announced payload is believed up to the daemon's own limit, and only with a success", () => {
    fc.assert(
      fc.property(u32, u32, (length, rv) => {
        const transmit = { ...TRANSMIT.decode(new Uint8Array(32)), receiveLength: length, rv };
        const control = { ...CONTROL.decode(new Uint8Array(24)), returned: length, rv };
        for (const payload of [() => TRANSMIT_REPLY.payload?.(transmit), () => CONTROL_REPLY.payload?.(control)]) {
          if (rv !== 0) expect(payload()).toBe(0);
          else if (length <= 65_548) expect(payload()).toBe(length);
          else expect(payload).toThrow(`pcscd announced an answer of ${length} bytes`);
        }
      }),
    );
  });
});

describe("a reader's record", () => {
  test("tells name, card, sharing and answer to reset", () => {
    const record = readerRecord({
      name: "Übergröße 00 00",
      events: 7,
      state: 0x34,
      sharing: -1,
      atr: Uint8Array.of(0x3b, 1, 2),
    });
    expect(readerState(READER.decode(record))).toEqual({
      name: "Übergröße 00 00",
      unavailable: false,
      present: true,
      mute: false,
      sharing: -1,
      events: 7,
      atr: Uint8Array.of(0x3b, 1, 2),
    });
  });

  test("is free when it has no name", () => {
    expect(readerState(READER.decode(readerRecord()))).toBeUndefined();
  });

  test("has no answer to reset while the driver has not looked (length 34)", () => {
    const record = readerRecord({ name: "r", atr: Uint8Array.of(0x3b, 0), atrLength: 34 });
    expect(readerState(READER.decode(record))?.atr).toHaveLength(0);
  });

  test.each([
    [0x01, true],
    [0x02, false],
    [0x34, false],
  ])("of state %i is that of a driver without its device: %s", (state, unavailable) => {
    expect(readerState(READER.decode(readerRecord({ name: "r", state })))).toMatchObject({ unavailable });
  });

  test("shows a card that does not answer as mute", () => {
    expect(readerState(READER.decode(readerRecord({ name: "r", state: 0x0c })))).toMatchObject({
      present: true,
      mute: true,
    });
  });
});
