import { describe, expect, test } from "@jest/globals";
import { CardChannel, traceText, traceTransmit, type TraceClock, type TraceEvent } from "../../src/apdu/index.ts";
import { fromHex, utf8 } from "../../src/bytes/index.ts";
import { scripted } from "./script.ts";

/** Each look at the clock is 12.4 ms after the one before. */
function clock(): TraceClock {
  let ticks = 0;
  return { now: () => 1_700_000_000_000, monotonic: () => 12.4 * ticks++ };
}

const SELECT = ["00a404000 9a00000030800001000 00", "61 06 4f04 01020304 9000"] as const;

describe("a trace", () => {
  test("tells of each exchange: when, how long, what, and what it meant", async () => {
    const events: TraceEvent[] = [];
    const { transmit } = scripted(SELECT);
    const traced = traceTransmit(transmit, (event) => events.push(event), "Reader 00", clock());
    await traced(fromHex(SELECT[0]));
    expect(events).toEqual([
      {
        time: 1_700_000_000_000,
        duration: 12.4,
        reader: "Reader 00",
        command: "00a4040009a0000003080000100000",
        answer: "61064f04010203049000",
        explanation: expect.objectContaining({ name: "SELECT", standard: "ISO/IEC 7816-4 11.1.1" }) as unknown,
        status: { code: "9000", kind: "success", name: "success" },
      },
    ]);
    expect(events.map((event) => traceText(event))).toEqual([
      "-> 00 A4 04 00 09 A0 00 00 03 08 00 00 10 00 00  " +
        "SELECT: by name: PIV card application (A00000030800001000), wants FCI\n" +
        "<- 61 06 4F 04 01 02 03 04 90 00  success  (12 ms)",
    ]);
  });

  test("never shows a PIN, nor how long it is", async () => {
    const texts: string[] = [];
    const verify = (pin: string): Uint8Array => Uint8Array.of(0, 0x20, 0, 0x80, pin.length, ...utf8(pin));
    const traced = traceTransmit(
      () => Promise.resolve(fromHex("63c2")),
      (event) => texts.push(traceText(event), JSON.stringify({ ...event, duration: 0 })),
      "Reader 00",
      clock(),
    );
    await traced(verify("123456"));
    await traced(verify("12345678"));
    expect(texts[0]).toBe(
      "-> 00 20 00 80 **  VERIFY: reference 80: local 0 (PIV: application PIN), data concealed\n" +
        "<- 63 C2  not verified, 2 tries left  (12 ms)",
    );
    expect(texts.slice(2)).toEqual(texts.slice(0, 2));
  });

  test("follows a chain and its answer", async () => {
    const events: TraceEvent[] = [];
    // The data of the later part looks like a template by itself.
    const first = `7c820109820081820100${"ab".repeat(245)}`;
    const second = "7c0981075c035fc1098200";
    const { transmit } = scripted(
      [`1087079dff${first}`, "9000"],
      [`0087079d0b${second}00`, "aaaa6101"],
      ["00c0000001", "aa9000"],
    );
    const channel = new CardChannel(traceTransmit(transmit, (event) => events.push(event), "Reader 00", clock()));
    await channel.send({ cla: 0, ins: 0x87, p1: 7, p2: 0x9d, data: fromHex(first + second), ne: 256 });
    expect(events.map(({ explanation, answer }) => [explanation.name, explanation.details.at(-1), answer])).toEqual([
      ["GENERAL AUTHENTICATE", "provides challenge of 256 bytes", "9000"],
      ["GENERAL AUTHENTICATE", "continues the chain", "**6101"],
      ["GET RESPONSE", "up to 1 byte", "**9000"],
    ]);
  });

  test("shows nothing of a command whose builder calls it secret, though the instruction is a harmless one", async () => {
    const events: TraceEvent[] = [];
    const { transmit } = scripted(
      ["10a40400ff" + "a0".repeat(255), "9000"],
      ["00a4040003a0a0a000", "aabb6102"],
      ["00c0000002", "ccdd9000"],
    );
    const channel = new CardChannel(traceTransmit(transmit, (event) => events.push(event), "Reader 00", clock()));
    const answer = await channel.send({
      cla: 0,
      ins: 0xa4,
      p1: 4,
      p2: 0,
      data: new Uint8Array(258).fill(0xa0),
      ne: 256,
      conceal: "both",
    });
    expect(answer.data).toEqual(fromHex("aabbccdd"));
    expect(events.map(({ command, answer: shown }) => [command, shown])).toEqual([
      ["10a40400**", "9000"],
      ["00a40400**", "**6102"],
      ["00c0000002", "**9000"],
    ]);
    expect(JSON.stringify(events.map(({ explanation }) => explanation))).not.toMatch(/a0a0/iu);
    expect(events[0]?.explanation.details).toEqual(["data concealed"]);
  });

  test("shows a command whose builder calls it harmless, though no table knows it", async () => {
    const events: TraceEvent[] = [];
    const { transmit } = scripted(["805a000001aa00", "6c01"], ["805a000001aa01", "bb9000"]);
    const channel = new CardChannel(traceTransmit(transmit, (event) => events.push(event), "Reader 00", clock()));
    const data = Uint8Array.of(0xaa);
    await channel.send({ cla: 0x80, ins: 0x5a, p1: 0, p2: 0, data, ne: 256, conceal: "nothing" });
    expect(events.map(({ command, answer }) => [command, answer])).toEqual([
      ["805a000001aa00", "6c01"],
      ["805a000001aa01", "bb9000"],
    ]);
  });

  test("tells of an exchange that failed, and lets the error through", async () => {
    const events: TraceEvent[] = [];
    const gone = new Error("SCARD_W_REMOVED_CARD: the card was taken out");
    const traced = traceTransmit(
      () => Promise.reject(gone),
      (event) => events.push(event),
      "Reader 00",
      clock(),
    );
    await expect(traced(fromHex("00200080013 1"))).rejects.toBe(gone);
    expect(events).toHaveLength(1);
    expect(events.map((event) => traceText(event))[0]).toContain(
      "<- SCARD_W_REMOVED_CARD: the card was taken out  (12 ms)",
    );
    expect(events[0]).toMatchObject({ answer: "", command: "00200080**" });
  });

  test("shortens what is long, but not the status word", async () => {
    const texts: string[] = [];
    const traced = traceTransmit(
      () => Promise.resolve(fromHex(`${"ab".repeat(100)}9000`)),
      (event) => texts.push(traceText(event, 3)),
      "Reader 00",
      clock(),
    );
    await traced(fromHex("00b0000000"));
    expect(texts[0]).toBe(
      "-> 00 B0 00 ... 2 more  READ BINARY: current EF, offset 0, all there is\n" +
        "<- AB AB AB ... 97 more 90 00  success  (12 ms)",
    );
  });

  test("uses the real clock by default", async () => {
    const events: TraceEvent[] = [];
    const before = Date.now();
    await traceTransmit(
      () => Promise.resolve(fromHex("90")),
      (event) => events.push(event),
      "Reader 00",
    )(fromHex("00"));
    expect(events[0]?.time).toBeGreaterThanOrEqual(before);
    expect(events[0]?.duration).toBeGreaterThanOrEqual(0);
    expect(events[0]).not.toHaveProperty("status");
  });
});
