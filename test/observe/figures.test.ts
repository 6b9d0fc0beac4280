import { describe, expect, test } from "@jest/globals";
import { CHANNELS_BY_NAME } from "../../src/channels/index.ts";
import { Figures } from "../../src/observe/index.ts";

const call = (duration: number): object => ({ id: 1, time: 0, function: "C_Sign", duration, rv: "CKR_OK" });

const channel = (name: keyof typeof CHANNELS_BY_NAME): { publish(event: object): void } => CHANNELS_BY_NAME[name];

describe("figures", () => {
  test("are counts, percentiles and the rate of the last ten seconds", () => {
    let now = 1_000_000;
    using figures = new Figures(() => now);
    for (let duration = 1; duration <= 100; duration++) channel("cryptoki:call").publish(call(duration));
    now += 5_000;
    expect(figures.report.calls).toEqual({ count: 100, p50: 50, p99: 99, perSecond: 20 });
    now += 20_000;
    expect(figures.report.calls).toEqual({ count: 100, p50: 50, p99: 99, perSecond: 0 });
  });

  test("keep the newest durations alone, and a bounded number of errors", () => {
    using figures = new Figures();
    for (let count = 0; count < 3000; count++) channel("cryptoki:call").publish(call(count < 1976 ? 500 : 1));
    for (let code = 0; code < 30; code++)
      channel("cryptoki:error").publish({ time: 0, layer: "cryptoki", code: `CKR_${code}` });
    channel("cryptoki:error").publish({ time: 0, layer: "cryptoki", code: "CKR_29" });
    const { calls, errors } = figures.report;
    expect(calls).toMatchObject({ count: 3000, p50: 1, p99: 1 });
    expect(errors).toHaveLength(20);
    expect(errors[0]).toMatchObject({ code: "CKR_29", count: 2 });
  });

  test("have each reader with its exchanges and waits", () => {
    using figures = new Figures();
    channel("cryptoki:card").publish({ time: 0, reader: "A", change: "inserted" });
    channel("cryptoki:apdu").publish({ time: 0, reader: "A", duration: 7 });
    channel("cryptoki:queue").publish({ time: 0, reader: "A", queued: 2, transaction: 3, ahead: 0 });
    channel("cryptoki:card").publish({ time: 0, reader: "A", change: "removed" });
    expect(figures.report.readers).toEqual([
      { reader: "A", present: false, apdus: { count: 1, p50: 7, p99: 7 }, waits: { count: 1, p50: 5, p99: 5 } },
    ]);
  });

  test("end with their disposal", () => {
    const figures = new Figures();
    figures[Symbol.dispose]();
    channel("cryptoki:call").publish(call(1));
    expect(figures.report.calls.count).toBe(0);
  });
});
