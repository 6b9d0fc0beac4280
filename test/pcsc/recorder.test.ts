import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { DataError, toHex } from "../../src/bytes/index.ts";
import { type ExchangeConcealer, MemoryReaders, type Pcsc, record, replay, SCARD_SHARE } from "../../src/pcsc/index.ts";
import { formatHeader, formatLine, parseRecording, type RecordingLine } from "../../src/pcsc/recording/format.ts";
import { OK, ScriptedCard, T1_ATR } from "./scripted-card.ts";
import { shareOf } from "../seeded-random.ts";

const HEADER = '{"format":"cryptoki recording","version":1,"command":"test","time":"2026-01-31T12:00:00.000Z"}';
const SELECT = Uint8Array.of(0x00, 0xa4, 0x04, 0x00);
const VERIFY = Uint8Array.of(0x00, 0x20, 0x00, 0x80, 4, 0x31, 0x32, 0x33, 0x34);

/** Shows everything but the data of VERIFY. */
const concealer = (): ExchangeConcealer => ({
  conceal: (command, answer) => ({
    command: command[1] === 0x20 ? `${toHex(command.subarray(0, 4))}**` : toHex(command),
    answer: toHex(answer),
  }),
});

function recorded(card = new ScriptedCard()): {
  pcsc: Pcsc;
  readers: MemoryReaders;
  card: ScriptedCard;
  text: () => string;
} {
  const readers = new MemoryReaders();
  readers.plug("Reader");
  readers.insert("Reader", card);
  let written = "";
  const pcsc = record(readers.client(), (line) => (written += line), concealer, "test");
  return { pcsc, readers, card, text: () => written };
}

describe("a recording", () => {
  test("has a line for what was done, and one for each exchange", async () => {
    const { pcsc, text } = recorded();
    await using connection = await pcsc.connect("Reader");
    await connection.transmit(SELECT);
    await connection.control(0x42000d48, Uint8Array.of());
    const [header, ...lines] = text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(header).toMatchObject({ format: "cryptoki recording", version: 1, command: "test" });
    const base = { reader: "Reader", atr: "3b800181", protocol: 2 };
    expect(lines).toMatchObject([
      { kind: "connect", ...base },
      { kind: "transmit", ...base, command: "00a40400", answer: "9000" },
      { kind: "control", ...base, code: 0x42000d48, command: "", answer: "" },
    ]);
  });

  test("never holds what the concealer hides, nor what goes to the reader itself", async () => {
    const { pcsc, card, text } = recorded();
    await using connection = await pcsc.connect("Reader");
    await connection.transmit(VERIFY);
    await connection.control(0x42330006, VERIFY).catch(() => undefined);
    card.answer = () => Promise.reject(new Error("31323334"));
    await connection.transmit(VERIFY).catch(() => undefined);
    expect(text()).toContain('"command":"00200080**"');
    expect(text()).not.toContain("31323334");
  });

  test("does everything else that the connection does", async () => {
    const { pcsc, readers, card } = recorded();
    const changes = pcsc.changes()[Symbol.asyncIterator]();
    expect((await changes.next()).value).toHaveLength(1);
    const connection = await pcsc.connect("Reader", { share: SCARD_SHARE.SHARED });
    const other = await readers.client({ patience: 10 }).connect("Reader");
    expect(connection.reader).toBe("Reader");
    expect(await connection.alone()).toBe(false);
    expect(await connection.attribute(0x00090303)).toEqual(T1_ATR);
    await connection.begin();
    await expect(other.transmit(SELECT)).rejects.toMatchObject({ codeName: "SCARD_E_SHARING_VIOLATION" });
    await connection.end();
    await connection.reconnect(1);
    expect(card.resets).toBe(2);
    await connection.disconnect();
    expect(await pcsc.readers()).toMatchObject([{ sharing: 1 }]);
    await pcsc.close();
    expect(await changes.next()).toMatchObject({ done: true });
  });
});

describe("a replay", () => {
  test("answers what was recorded, resets and changed cards included", async () => {
    const { pcsc, readers, text } = recorded();
    const connection = await pcsc.connect("Reader");
    const play = async (on: Pcsc, live: boolean): Promise<unknown[]> => {
      const mine = live ? connection : await on.connect("Reader");
      const seen: unknown[] = [mine.atr, await mine.transmit(SELECT)];
      if (live) {
        const other = await readers.client().connect("Reader");
        await other.reconnect(1);
        await other.disconnect();
      }
      seen.push(await mine.transmit(SELECT).catch((error: unknown) => String(error)));
      if (live) {
        readers.eject("Reader");
        readers.insert("Reader", new ScriptedCard(Uint8Array.of(0x3b, 0x00)));
      }
      await mine.reconnect();
      seen.push(mine.atr, mine.protocol, await mine.transmit(VERIFY), await mine.control(0x42000d48, new Uint8Array()));
      return seen;
    };
    const live = await play(pcsc, true);
    const replayed = replay(text());
    expect(await replayed.readers()).toMatchObject([{ name: "Reader", present: true, atr: T1_ATR }]);
    expect(await play(replayed, false)).toEqual(live);
  });

  test("gives back each exchange as it was (any commands and answers)", async () => {
    // Where data is hidden, some must come again.
    const apdu = fc.uint8Array({ minLength: 5, maxLength: 40 });
    const answer = fc.uint8Array({ minLength: 2, maxLength: 300 });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(apdu, answer), { maxLength: 20 }), async (exchanges) => {
        const { pcsc, card, text } = recorded();
        await using live = await pcsc.connect("Reader");
        for (const [command, expected] of exchanges) {
          card.answer = () => Promise.resolve(expected);
          expect(await live.transmit(command)).toEqual(expected);
        }
        await using connection = await replay(text()).connect("Reader");
        for (const [command, expected] of exchanges) expect(await connection.transmit(command)).toEqual(expected);
      }),
      { numRuns: shareOf(50) },
    );
  });

  test("takes any bytes, but some, for those that are concealed", async () => {
    const lines = [["00200080**"], ["00**ff**01"], ["**"]].map(
      ([command], index) =>
        `{"kind":"transmit","reader":"R","atr":"3b00","protocol":1,"at":${index},"took":1,"command":"${command ?? ""}","answer":"**9000"}`,
    );
    const pcsc = replay([HEADER, ...lines, ""].join("\n"));
    await using connection = await pcsc.connect("R");
    const send = (hex: string): Promise<Uint8Array> => connection.transmit(Buffer.from(hex, "hex"));
    await expect(send("00200080")).rejects.toThrow("line 2");
    expect(await send("00200080043132")).toEqual(Uint8Array.of(0, 0x90, 0));
    for (const wrong of ["00ff01", "00aaff01", "0001ff02ff", "0101ff0201", "000fff1001ff"]) {
      await expect(send(wrong)).rejects.toThrow("line 3");
    }
    expect(await send("00aaffffbb01")).toHaveLength(3);
    await expect(send("")).rejects.toThrow("line 4");
    expect(await send("77")).toHaveLength(3);
  });

  test("refuses what was not recorded: says where, and tells headers only", async () => {
    const { pcsc, text } = recorded();
    await using live = await pcsc.connect("Reader");
    await live.transmit(SELECT);
    await live.transmit(VERIFY.subarray(0, 4));
    await using connection = await replay(text()).connect("Reader");
    await expect(connection.transmit(VERIFY)).rejects.toMatchObject({
      codeName: "SCARD_E_NOT_TRANSACTED",
      message: "SCARD_E_NOT_TRANSACTED: line 3 of the recording has a command 00a40400, and 00200080 came",
    });
    expect(await connection.transmit(SELECT)).toEqual(OK);
    await connection.transmit(VERIFY);
    await expect(connection.transmit(VERIFY)).rejects.toThrow("ends at line 4; then came a command 00200080");
    await expect(connection.control(1, SELECT)).rejects.toMatchObject({ codeName: "SCARD_E_UNSUPPORTED_FEATURE" });
  });

  test("is a Pcsc like any other", async () => {
    const { pcsc, text } = recorded();
    await (await pcsc.connect("Reader")).disconnect();
    const replayed = replay(text());
    const changes = replayed.changes()[Symbol.asyncIterator]();
    await changes.next();
    await expect(replayed.connect("Other")).rejects.toMatchObject({ codeName: "SCARD_E_UNKNOWN_READER" });
    await expect(replayed.connect("Reader", { signal: AbortSignal.abort() })).rejects.toThrow("SCARD_E_CANCELLED");
    const connection = await replayed.connect("Reader");
    await connection.begin();
    await connection.end();
    expect(await connection.alone()).toBe(true);
    await expect(connection.attribute(1)).rejects.toThrow("SCARD_E_UNSUPPORTED_FEATURE");
    await connection.disconnect();
    await connection.disconnect();
    expect(await replayed.readers()).toMatchObject([{ sharing: 0 }]);
    await expect(connection.begin()).rejects.toThrow("SCARD_E_INVALID_HANDLE");
    await replayed.close();
    expect(await changes.next()).toMatchObject({ done: true });
    await expect(replayed.readers()).rejects.toThrow("SCARD_E_INVALID_HANDLE");
    await expect(replayed.connect("Reader")).rejects.toThrow("SCARD_E_INVALID_HANDLE");
  });
});

describe("the format", () => {
  const digits = fc
    .array(fc.option(fc.uint8Array({ minLength: 1, maxLength: 20 })), { maxLength: 4 })
    .map((parts) => parts.map((part) => (part ? toHex(part) : "**")).join(""))
    .map((text) => text.replaceAll(/(?:\*\*)+/gu, "**"));
  const base = {
    reader: fc.string(),
    atr: fc.uint8Array({ maxLength: 33 }),
    protocol: fc.constantFrom(0, 1, 2, 4),
    at: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  };
  const exchange = {
    ...base,
    took: fc.nat(),
    command: digits,
    outcome: fc.oneof(
      fc.record({ answer: digits }),
      fc.record({ error: fc.oneof(fc.constantFrom(0x80100068, 0x80100069), fc.nat()) }),
    ),
  };
  const line: fc.Arbitrary<RecordingLine> = fc.oneof(
    fc.record({ kind: fc.constant("connect" as const), ...base }),
    fc.record({ kind: fc.constant("transmit" as const), ...exchange }),
    fc.record({ kind: fc.constant("control" as const), ...exchange, code: fc.nat() }),
  );

  test("is read as it was written", () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.date({ min: new Date(0), noInvalidDate: true }),
        fc.array(line),
        (command, time, lines) => {
          const text = [formatHeader({ command, time }), ...lines.map(formatLine), ""].join("\n");
          expect(parseRecording(text)).toEqual({
            header: { command, time },
            lines: lines.map((each, index) => ({ ...each, line: index + 2 })),
          });
        },
      ),
    );
  });

  test("takes any text, or says on which line it is wrong", () => {
    const soup = fc.array(fc.oneof(fc.string(), fc.json(), fc.constant(HEADER), line.map(formatLine)));
    fc.assert(
      fc.property(fc.boolean(), soup, (begun, parts) => {
        try {
          parseRecording([...(begun ? [HEADER] : []), ...parts].join("\n"));
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
          expect(String(error)).toMatch(/recording, line \d+: /u);
        }
      }),
    );
  });

  test.each([
    ["not JSON", 1, ""],
    ["not a JSON object", 1, "[]"],
    ["not a recording", 1, HEADER.replace("cryptoki recording", "other")],
    ["version 2", 1, HEADER.replace('"version":1', '"version":2')],
    ["time", 1, HEADER.replace("2026-01-31", "2026-31-01")],
    ['unknown field "more"', 1, HEADER.replace("{", '{"more":1,')],
    ["command is missing", 1, HEADER.replace('"command":"test",', "")],
    ["not JSON", 2, `${HEADER}\n\n`],
    ...(
      [
        ['"kind":"transmit"', '"kind":"other"', 'kind "other"'],
        ['"reader":"R"', '"reader":1', "reader is not a string"],
        ['"atr":"3b00"', '"atr":"3B00"', "atr is not hexadecimal"],
        ['"atr":"3b00"', `"atr":"${"00".repeat(34)}"`, "atr of 34 bytes"],
        ['"protocol":1', '"protocol":3', "protocol 3"],
        ['"at":0', '"at":-1', "milliseconds"],
        ['"at":0', '"at":1e999', "milliseconds"],
        ['"command":"00a40400"', '"command":"00a4040"', "command is not hexadecimal"],
        ['"command":"00a40400"', '"command":"00****"', "command is not hexadecimal"],
        ['"answer":"9000"', '"answer":"9000","error":"0x1"', 'unknown field "answer"'],
        ['"answer":"9000"', '"error":"EPIPE"', "PC/SC code"],
        ['"answer":"9000"', '"took":1', "answer is missing"],
      ] as const
    ).map(([right, wrong, message]) => {
      const good =
        '{"kind":"transmit","reader":"R","atr":"3b00","protocol":1,"at":0,"took":1,"command":"00a40400","answer":"9000"}';
      return [`${message} after ${wrong}`, 3, `${HEADER}\n${good}\n${good.replace(right, wrong)}`] as const;
    }),
  ])("is strict: %s on line %i", (what, number, text) => {
    expect(() => replay(text)).toThrow(expect.objectContaining({ name: "DataError" }));
    expect(() => replay(text)).toThrow(`recording, line ${number}: `);
    expect(() => replay(text)).toThrow(what.split(" after ")[0]);
  });
});
