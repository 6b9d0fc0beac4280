import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, equalBytes, startsWith } from "../../src/bytes/index.ts";

const bytes = fc.uint8Array({ maxLength: 40 });

describe("bytes", () => {
  test("are joined in order, in an array of their own", () => {
    fc.assert(
      fc.property(fc.array(bytes), (parts) => {
        const whole = concat(...parts);
        expect([...whole]).toEqual(parts.flatMap((part) => [...part]));
        expect(parts.some((part) => part.buffer === whole.buffer)).toBe(false);
      }),
    );
  });

  test("are equal if every one is, and none is missing", () => {
    fc.assert(fc.property(bytes, bytes, (a, b) => equalBytes(a, b) === (a.join() === b.join())));
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3))).toBe(false);
    expect(equalBytes(Uint8Array.of(1, 2, 3), Uint8Array.of(1, 2))).toBe(false);
  });

  test("begin with every part of their own beginning, and with nothing longer", () => {
    fc.assert(fc.property(bytes, bytes, (head, tail) => startsWith(concat(head, tail), head)));
    expect(startsWith(Uint8Array.of(1), Uint8Array.of(1, 2))).toBe(false);
    expect(startsWith(Uint8Array.of(2, 2), Uint8Array.of(1))).toBe(false);
  });
});
