import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import {
  CardChannel,
  type CommandApdu,
  decodeCommand,
  encodeResponse,
  MalformedAnswerError,
  type SendOptions,
  type Transmit,
} from "../../src/apdu/index.ts";
import { concat, DataError, fromHex, toHex } from "../../src/bytes/index.ts";
import { scripted } from "./script.ts";

const GET_DATA: CommandApdu = { cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data: fromHex("5c017e"), ne: 256 };
const READ: CommandApdu = { cla: 0, ins: 0xb0, p1: 0, p2: 0, ne: 65_536 };
const SIGN: CommandApdu = { cla: 0, ins: 0x87, p1: 0x07, p2: 0x9a, data: new Uint8Array(300).fill(0xab), ne: 65_536 };
const AB = (count: number): string => "ab".repeat(count);

/** A card that takes chains, and gives `answer` in parts of at most `part` bytes; it counts the exchanges. */
function card(
  answer: Uint8Array,
  part: number,
): { transmit: Transmit; received: Uint8Array[]; exchanges: () => number } {
  const received: Uint8Array[] = [];
  let rest = answer;
  let exchanges = 0;
  const transmit: Transmit = (bytes) => {
    exchanges++;
    const { cla, ins, data, ne = 0 } = decodeCommand(bytes);
    if (ins !== 0xc0) received.push((data ?? new Uint8Array()).slice());
    if ((cla & 0x10) !== 0) return Promise.resolve(Uint8Array.of(0x90, 0));
    const given = rest.slice(0, Math.min(part, ne));
    rest = rest.subarray(given.length);
    return Promise.resolve(
      encodeResponse({ data: given, sw: rest.length === 0 ? 0x9000 : 0x6100 | (rest.length < 256 ? rest.length : 0) }),
    );
  };
  return { transmit, received, exchanges: () => exchanges };
}

describe("a channel", () => {
  test("sends a short command once, as it is", async () => {
    const { transmit, done } = scripted(["00cb3fff035c017e00", "53015a9000"]);
    const answer = await new CardChannel(transmit).send(GET_DATA);
    expect(answer).toEqual({ data: fromHex("53015a"), sw: 0x9000 });
    done();
  });

  test("gives a refusal back as it came, after one exchange", async () => {
    const { transmit, done } = scripted(["00cb3fff035c017e00", "6a82"]);
    expect((await new CardChannel(transmit).send(GET_DATA)).sw).toBe(0x6a82);
    done();
  });

  test("chains what does not fit, header and all, the last part with Le", async () => {
    const { transmit, done } = scripted([`1087079aff${AB(255)}`, "9000"], [`0087079a2d${AB(45)}00`, "9000"]);
    await new CardChannel(transmit).send(SIGN);
    done();
  });

  test("ends a chain at the first part that is refused", async () => {
    const { transmit, done } = scripted([`1087079aff${AB(255)}`, "6884"]);
    expect((await new CardChannel(transmit).send(SIGN)).sw).toBe(0x6884);
    done();
  });

  test("sends 255 bytes in one command and 510 in two", async () => {
    for (const [length, exchanges] of [
      [255, 1],
      [256, 2],
      [510, 2],
      [511, 3],
    ] as const) {
      const { transmit, exchanges: count } = card(new Uint8Array(), 256);
      await new CardChannel(transmit).send({ ...SIGN, data: new Uint8Array(length) });
      expect(count()).toBe(exchanges);
    }
  });

  test("collects what 61xx announces, with the length it names", async () => {
    const { transmit, done } = scripted(
      ["00cb3fff035c017e00", "01026103"],
      ["00c0000003", "0304 6101"],
      ["00c0000001", "059000"],
    );
    expect(toHex((await new CardChannel(transmit).send(GET_DATA)).data)).toBe("0102030405");
    done();
  });

  test("gives the last status word with what was collected", async () => {
    const { transmit } = scripted(["00cb3fff035c017e00", "01026102"], ["00c0000002", "03046282"]);
    expect(await new CardChannel(transmit).send(GET_DATA)).toEqual({ data: fromHex("01020304"), sw: 0x6282 });
  });

  test("stops collecting once the caller has enough", async () => {
    const { transmit, done } = scripted(["00cb3fff035c017e00", "01026100"], ["00c0000000", "03046100"]);
    const answer = await new CardChannel(transmit).send(GET_DATA, { enough: 3 });
    expect(answer).toEqual({ data: fromHex("01020304"), sw: 0x6100 });
    done();
  });

  test("repeats the command with the length that 6Cxx names", async () => {
    const { transmit, done } = scripted(["00b0000000", "6c02"], ["00b0000002", "01029000"]);
    expect(toHex((await new CardChannel(transmit).send(READ)).data)).toBe("0102");
    done();
  });

  test("repeats it once only", async () => {
    const { transmit, done } = scripted(["00b0000000", "6c02"], ["00b0000002", "6c03"]);
    expect((await new CardChannel(transmit).send(READ)).sw).toBe(0x6c03);
    done();
  });

  test("takes 6Cxx for an answer to GET RESPONSE, too", async () => {
    const { transmit, done } = scripted(["00b0000000", "6120"], ["00c0000020", "6c02"], ["00c0000002", "01029000"]);
    expect(toHex((await new CardChannel(transmit).send(READ)).data)).toBe("0102");
    done();
  });

  test("never repeats a command that wants no answer", async () => {
    const { transmit, done } = scripted(["0020008001aa", "6c02"]);
    const verify = { cla: 0, ins: 0x20, p1: 0, p2: 0x80, data: fromHex("aa") };
    expect((await new CardChannel(transmit).send(verify)).sw).toBe(0x6c02);
    done();
  });

  test.each([
    ["a chained command", 0x00, "00"],
    ["logical channel 2", 0x02, "02"],
    ["secure messaging", 0x0c, "00"],
    ["logical channel 5", 0x41, "41"],
    ["the proprietary class", 0x80, "00"],
    ["the proprietary class, channel 1, secure messaging", 0x85, "01"],
    ["the class of GSM", 0xa0, "a0"],
  ])("asks for the rest in the clear, on the same logical channel: %s", async (_, cla, expected) => {
    const { transmit, done } = scripted(
      [`${toHex(Uint8Array.of(cla))}b0000000`, "6101"],
      [`${expected}c0000001`, "019000"],
    );
    await new CardChannel(transmit).send({ ...READ, cla });
    done();
  });

  test("loses nothing, whatever the lengths, and takes no exchange too many", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 1200, size: "max" }),
        fc.uint8Array({ maxLength: 1500, size: "max" }),
        fc.integer({ min: 16, max: 256 }),
        async (data, wanted, part) => {
          const { transmit, received, exchanges } = card(wanted, part);
          const answer = await new CardChannel(transmit).send({ ...SIGN, data });
          expect(toHex(concat(...received))).toBe(toHex(data));
          expect(toHex(answer.data)).toBe(toHex(wanted));
          expect(answer.sw).toBe(0x9000);
          const atLeastOne = (length: number, size: number): number => Math.max(1, Math.ceil(length / size));
          expect(exchanges()).toBe(atLeastOne(data.length, 255) + atLeastOne(wanted.length, part) - 1);
        },
      ),
    );
  });

  test("overwrites each command once it is answered", async () => {
    const sent: Uint8Array[] = [];
    const transmit: Transmit = (command) => {
      sent.push(command);
      return Promise.resolve(Uint8Array.of(0x90, 0));
    };
    await new CardChannel(transmit).send(SIGN);
    expect(sent.map((bytes) => bytes.some((octet) => octet !== 0))).toEqual([false, false]);
    expect(SIGN.data?.every((octet) => octet === 0xab)).toBe(true);
  });

  test("hands the signal to every exchange", async () => {
    const { signal } = new AbortController();
    const seen: (AbortSignal | undefined)[] = [];
    const inner = card(new Uint8Array(300), 256).transmit;
    await new CardChannel((command, given) => {
      seen.push(given?.signal);
      return inner(command);
    }).send(SIGN, { signal });
    expect(seen).toEqual([signal, signal, signal]);
  });

  test.each([
    [new AbortController().signal, "the last argument is { signal }, and not the AbortSignal itself"],
    [3, "the last argument is { signal }, or left out; lengths are not given"],
    [{ signal: "now" }, "signal in { signal }, the last argument, is an AbortSignal"],
  ])("takes options last, and nothing else: %p", async (last, message) => {
    const { transmit } = card(new Uint8Array(3), 256);
    const sent = new CardChannel(transmit).send(SIGN, last as SendOptions);
    await expect(sent).rejects.toMatchObject({ name: "CardError", message });
  });

  test("throws what the transport throws", async () => {
    const gone = new Error("the card was taken out");
    await expect(new CardChannel(() => Promise.reject(gone)).send(READ)).rejects.toBe(gone);
  });

  test("refuses a command that no form can say", async () => {
    const { transmit, done } = scripted();
    await expect(new CardChannel(transmit).send({ ...READ, ins: 0x1b0 })).rejects.toThrow(
      new DataError("command APDU: CLA, INS, P1 and P2 are one byte each"),
    );
    done();
  });
});

describe("a channel with extended length", () => {
  const extended = (transmit: Transmit): CardChannel => new CardChannel(transmit, { form: "extended" });

  test("needs one exchange for a long command and a long answer", async () => {
    const { transmit, exchanges } = card(new Uint8Array(2000), 65_536);
    expect((await extended(transmit).send(SIGN)).data).toHaveLength(2000);
    expect(exchanges()).toBe(1);
  });

  test("stays short where short is enough", async () => {
    const { transmit, done } = scripted(["00cb3fff035c017e00", "9000"]);
    await extended(transmit).send(GET_DATA);
    done();
  });

  test("falls back when the card refuses the length, and permanently when it does so twice: one refusal may be an accident", async () => {
    const refused: [string, string][] = [
      [`0087079a00012c${AB(300)}0000`, "6700"],
      [`1087079aff${AB(255)}`, "9000"],
      [`0087079a2d${AB(45)}00`, "9000"],
    ];
    const { transmit, done } = scripted(...refused, ["00b00000000000", "9000"], ...refused, ["00b0000000", "9000"]);
    const channel = extended(transmit);
    await channel.send(SIGN);
    expect(channel.form).toBe("extended");
    await channel.send(READ);
    await channel.send(SIGN);
    expect(channel.form).toBe("short");
    await channel.send(READ);
    done();
  });

  test("stays extended when the command is wrong in either form", async () => {
    const { transmit, done } = scripted(["00b00000000000", "6700"], ["00b0000000", "6700"], ["00b00000000000", "9000"]);
    const channel = extended(transmit);
    expect((await channel.send(READ)).sw).toBe(0x6700);
    await channel.send(READ);
    done();
  });

  test("chains what is too long even for an extended command", async () => {
    const { transmit, received } = card(new Uint8Array(), 256);
    await extended(transmit).send({ ...SIGN, data: new Uint8Array(65_536) });
    expect(received).toHaveLength(258);
  });

  test("collects an answer that comes in parts all the same", async () => {
    const { transmit, exchanges } = card(new Uint8Array(2000), 1000);
    expect((await extended(transmit).send(SIGN)).data).toHaveLength(2000);
    // 1,000 bytes, then GET RESPONSE of 256 at most.
    expect(exchanges()).toBe(5);
  });
});

describe("a channel over T=0", () => {
  const t0 = (transmit: Transmit): CardChannel => new CardChannel(transmit, { t0: true, form: "extended" });

  test("never uses extended length", async () => {
    const { transmit, done } = scripted(["00b0000000", "9000"]);
    expect(t0(transmit).form).toBe("short");
    await t0(transmit).send(READ);
    done();
  });

  test("leaves Le out of a command with data, and gets the answer by GET RESPONSE", async () => {
    const { transmit, done } = scripted(["00cb3fff035c017e", "6103"], ["00c0000003", "53015a9000"]);
    expect(toHex((await t0(transmit).send(GET_DATA)).data)).toBe("53015a");
    done();
  });

  test("sends P3 = 00 where there is neither data nor Le", async () => {
    const { transmit, done } = scripted(["0020008000", "63c3"]);
    expect((await t0(transmit).send({ cla: 0, ins: 0x20, p1: 0, p2: 0x80 })).sw).toBe(0x63c3);
    done();
  });
});

describe("a hostile card", () => {
  const always = (answer: string): { channel: CardChannel; count: () => number } => {
    let count = 0;
    return {
      channel: new CardChannel(() => {
        count++;
        return Promise.resolve(fromHex(answer));
      }),
      count: () => count,
    };
  };

  test.each([
    ["", "0 bytes; the minimum is 2"],
    ["90", "1 bytes; the minimum is 2"],
  ])("an answer of %j is malformed", async (answer, message) => {
    const sent = always(answer).channel.send(GET_DATA);
    await expect(sent).rejects.toMatchObject({ name: "MalformedAnswerError", message: `response APDU: ${message}` });
  });

  test("an answer longer than any may be is malformed", async () => {
    await expect(always("00".repeat(65_539)).channel.send(GET_DATA)).rejects.toMatchObject({
      name: "MalformedAnswerError",
      message: "response APDU: 65539 bytes; the limit is 65538",
    });
  });

  test("61xx without end and without data ends at once", async () => {
    const { channel, count } = always("6100");
    await expect(channel.send(GET_DATA)).rejects.toThrow(/does not end/u);
    expect(count()).toBe(2);
  });

  test("61xx without end, a byte at a time, ends", async () => {
    const { channel, count } = always("016101");
    await expect(channel.send(GET_DATA)).rejects.toThrow(/does not end/u);
    expect(count()).toBeLessThan(10_000);
  });

  test("61xx without end, in long answers, ends after a megabyte", async () => {
    const { channel, count } = always(`${"01".repeat(60_000)}6100`);
    await expect(channel.send(GET_DATA)).rejects.toThrow(/does not end/u);
    expect(count()).toBeLessThan(20);
  });

  test("an answer in parts of one byte is taken", async () => {
    const { transmit } = card(new Uint8Array(3000).fill(7), 1);
    expect((await new CardChannel(transmit).send(READ)).data).toHaveLength(3000);
  });

  test("a transport's own DataError and any answer at all end in a response or a MalformedAnswerError", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 6 })), async (answers) => {
        const queue = [...answers];
        const channel = new CardChannel(() => Promise.resolve(queue.shift() ?? Uint8Array.of(0x6f, 0)));
        try {
          expect((await channel.send(SIGN)).sw).toBeLessThanOrEqual(0xffff);
        } catch (error) {
          expect(error).toBeInstanceOf(MalformedAnswerError);
        }
      }),
    );
  });
});

describe("what a command's builder leaves undeclared", () => {
  const declared = async (command: CommandApdu): Promise<unknown> => {
    const seen: unknown[] = [];
    const channel = new CardChannel((_bytes, options) => {
      seen.push(options?.conceal);
      return Promise.resolve(fromHex("9000"));
    });
    await channel.send(command);
    return seen[0];
  };

  test.each<[string, CommandApdu, unknown]>([
    ["is judged by the tables, for a command of ISO/IEC 7816", { cla: 0, ins: 0xb0, p1: 0, p2: 0, ne: 1 }, undefined],
    ["is secret, for a proprietary one that a CAC has too", { cla: 0x80, ins: 0x52, p1: 0, p2: 0 }, "both"],
    ["is secret, for a proprietary READ BINARY", { cla: 0x90, ins: 0xb0, p1: 0, p2: 0, ne: 1 }, "both"],
    ["is secret, for one that Yubico's PIV application has", { cla: 0, ins: 0xf7, p1: 0, p2: 0, ne: 1 }, "both"],
    ["is open, where it says so", { cla: 0x80, ins: 0x52, p1: 0, p2: 0, conceal: "nothing" }, "nothing"],
    ["is secret in part, where it says so", { cla: 0, ins: 0xb0, p1: 0, p2: 0, conceal: "answer" }, "answer"],
  ])("%s", async (_, command, expected) => {
    expect(await declared(command)).toBe(expected);
  });
});
