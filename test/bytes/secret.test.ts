import { describe, expect, test } from "@jest/globals";
import { concatSecret, copySecret, secretBytes, secretUtf8, wipe } from "../../src/bytes/index.ts";

describe("secrets", () => {
  test("lie alone in memory of their own", () => {
    const source = Uint8Array.of(9, 1, 2, 3).subarray(1);
    for (const secret of [secretBytes(3), copySecret(source), copySecret(Buffer.from(source)), concatSecret(source)]) {
      expect(secret.buffer.byteLength).toBe(3);
    }
    expect(copySecret(source)).toEqual(Uint8Array.of(1, 2, 3));
  });

  test("are joined in order, and the parts stay", () => {
    const parts = [Uint8Array.of(1, 2), new Uint8Array(), Uint8Array.of(3)];
    expect(concatSecret(...parts)).toEqual(Uint8Array.of(1, 2, 3));
    expect(parts[0]).toEqual(Uint8Array.of(1, 2));
    expect(concatSecret()).toHaveLength(0);
  });

  test.each(["", "123456", "pässwörd", "€ and 😀", "half \ud83d"])("are the UTF-8 of %j", (text) => {
    expect(secretUtf8(text)).toEqual(new TextEncoder().encode(text));
  });

  test("are overwritten in place, and only those", () => {
    const whole = copySecret(Uint8Array.of(1, 2, 3, 4));
    wipe(whole.subarray(1, 3));
    expect(whole).toEqual(Uint8Array.of(1, 0, 0, 4));
  });
});
