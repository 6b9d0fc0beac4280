import { describe, expect, test } from "@jest/globals";
import { traceTransmit } from "../../src/apdu/index.ts";
import { fromHex } from "../../src/bytes/index.ts";
import { ALL_CHECKS, ExchangeLog } from "../../src/doctor/index.ts";
import { Examination } from "../../src/doctor/examination.ts";

/** A log of commands and their answers, in hexadecimal. */
async function logged(...exchanges: readonly (readonly [string, string])[]): Promise<ExchangeLog> {
  const log = new ExchangeLog();
  for (const [command, answer] of exchanges) {
    const transmit = traceTransmit(
      log.measure(() => Promise.resolve(fromHex(answer))),
      log.sink,
      "Reader",
    );
    await transmit(fromHex(command), {});
  }
  return log;
}

async function found(...exchanges: readonly (readonly [string, string])[]): Promise<string[]> {
  const examination = new Examination(new Date());
  (await logged(...exchanges)).examine(examination);
  return examination.findings.map(({ name }) => name);
}

const EXTENDED = "00CB3FFF000005 5C035FC1020000";
const SHORT = "00CB3FFF055C035FC10200";

describe("what the exchanges with a card tell", () => {
  test.each(["6700", "6D00", "6F00"])(
    "an extended command that is refused with %s and taken in short form",
    async (sw) => {
      expect(await found([EXTENDED, sw], [SHORT, "53009000"])).toEqual(["extended-length-refused"]);
    },
  );

  test.each([
    ["taken", [EXTENDED, "53009000"] as const],
    ["refused as not found", [EXTENDED, "6A82"] as const],
  ])("an extended command that is %s is none", async (_what, exchange) => {
    expect(await found(exchange, [SHORT, "53009000"])).toEqual([]);
  });

  test("one that is refused in both forms says nothing of the form", async () => {
    expect(await found([EXTENDED, "6D00"], [SHORT, "6D00"])).toEqual([]);
  });

  test.each([
    ["chaining-refused", "1087079C020000", "6884"],
    ["logout-refused", "0020FF80", "6A86"],
  ])("%s", async (name, command, sw) => {
    expect(await found([command, sw])).toEqual([name]);
    expect(await found([command, "9000"])).toEqual([]);
  });

  test("GET RESPONSE refused where bytes wait, and not where none do", async () => {
    expect(await found(["002A9E9A00", "6110"], ["00C0000010", "6D00"])).toEqual(["get-response-refused"]);
    expect(await found(["002A9E9A00", "6110"], ["00C0000010", "9000"])).toEqual([]);
    expect(await found(["00A4000C025032", "9000"], ["00C0000000", "6D00"])).toEqual([]);
  });

  test("a SELECT in parts that is refused is only a question", async () => {
    expect(await found(["10A4000C0150", "6884"])).toEqual([]);
  });

  test("the result of a key is whole, and that of the last part of a chain", async () => {
    const log = await logged(
      ["002A9E9A0100", "AAAA9000"],
      ["102A9E9A0100", "9000"],
      ["002A9E9A010100", "01026102"],
      ["00C0000002", "03049000"],
      ["0020FF81", "9000"],
    );
    expect(log.resultSince(0)).toMatchObject({ length: 4 });
    expect(log.resultSince(1)).toEqual(log.resultSince(0));
    expect(log.resultSince(4)).toBeUndefined();
    expect((await logged(["002A9E9A0100", "6A80"])).resultSince(0)).toBeUndefined();
  });

  test("the last answer to an empty VERIFY counts, and one with a PIN does not", async () => {
    const log = await logged(
      ["00200080", "63C3"],
      ["0020008006313233343536", "9000"],
      ["00200080", "63C2"],
      ["00200001", "6984"],
    );
    expect(Object.fromEntries(log.pinStatuses())).toEqual({ 128: 0x63c2, 1: 0x6984 });
  });
});

test("every check has a name of its own, and words for all that it says", () => {
  const names = ALL_CHECKS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  for (const { name, section, consequence, remedy } of ALL_CHECKS) {
    expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/u);
    expect(section).not.toBe("");
    for (const sentence of [consequence, remedy]) expect(sentence).toMatch(/^[A-Z].*\.$|cryptoki import\.$/u);
  }
});
