import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { columns, timeline } from "../../src/service/web/timeline.ts";

describe("the waterfall of the page", () => {
  test("draws what runs inside another span inside its bar", () => {
    const [call, apdu] = timeline([
      { start: 1000, duration: 10 },
      { start: 1002, duration: 4 },
    ]);
    expect(call).toEqual({ from: 0, length: 1 });
    expect(apdu).toEqual({ from: 0.2, length: 0.4 });
  });

  test("leaves idle time out", () => {
    const [first, second, inner] = timeline([
      { start: 1000, duration: 4 },
      { start: 9_000_000, duration: 4 },
      { start: 9_000_001, duration: 1 },
    ]);
    expect(first).toEqual({ from: 0, length: 0.4 });
    expect(second).toEqual({ from: 0.6, length: 0.4 });
    expect(inner).toEqual({ from: 0.7, length: 0.1 });
  });

  test("keeps every bar on the line, and the order of the beginnings", () => {
    const span = fc.record({ start: fc.integer({ min: 0, max: 10_000 }), duration: fc.integer({ min: 0, max: 500 }) });
    fc.assert(
      fc.property(fc.array(span, { minLength: 1, maxLength: 30 }), (spans) => {
        const bars = timeline(spans);
        const inOrder = bars.map((bar, index) => ({ ...bar, start: spans[index]?.start ?? 0 }));
        inOrder.sort((a, b) => a.start - b.start);
        for (const [index, { from, length, start }] of inOrder.entries()) {
          expect(from).toBeGreaterThanOrEqual(0);
          expect(from + length).toBeLessThanOrEqual(1 + 1e-9);
          const next = inOrder[index + 1];
          if (next && next.start > start) expect(next.from).toBeGreaterThanOrEqual(from);
        }
      }),
    );
  });

  test("of nothing is empty", () => {
    expect(timeline([])).toEqual([]);
  });
});

test("a column of a chart has what began in its second", () => {
  const spans = [0, 999, 1000, 2999, 3000].map((start) => ({ start: 5000 + start, duration: 1 }));
  expect(columns(spans, 5000, 3, (those) => those.length)).toEqual([2, 1, 1]);
});
