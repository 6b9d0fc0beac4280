import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { PassThrough } from "node:stream";
import { Progress, sizeText } from "../../src/cli/output/progress.ts";

class Terminal extends PassThrough {
  readonly isTTY: boolean;

  constructor(isTTY: boolean) {
    super();
    this.isTTY = isTTY;
  }

  get text(): string {
    return String(this.read() ?? "");
  }
}

describe("progress", () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  test("is shown on a terminal after a second, then four times a second, and goes at the end", () => {
    const stderr = new Terminal(true);
    const progress = new Progress({ stderr }, false, (seconds) => `${seconds} s`);
    jest.advanceTimersByTime(999);
    expect(stderr.text).toBe("");
    jest.advanceTimersByTime(1);
    expect(stderr.text).toBe("\r1 s\u001B[K");
    jest.advanceTimersByTime(1000);
    const lines = stderr.text.split("\r").slice(1);
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(["1 s\u001B[K", "2 s\u001B[K"]).toContain(line);
    progress.end();
    expect(stderr.text).toBe("\r\u001B[K");
    jest.advanceTimersByTime(5000);
    expect(stderr.text).toBe("");
  });

  test("is not shown for what is quick, elsewhere than on a terminal, or with --json", () => {
    for (const [isTTY, json, time] of [
      [true, false, 500],
      [false, false, 5000],
      [true, true, 5000],
    ] as const) {
      const stderr = new Terminal(isTTY);
      const progress = new Progress({ stderr }, json, () => "shown");
      jest.advanceTimersByTime(time);
      progress.end();
      expect(stderr.text).toBe("");
    }
  });

  test.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "0.977 KiB"],
    [312 << 20, "312 MiB"],
    [1.5 * 2 ** 30, "1.5 GiB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(sizeText(bytes)).toBe(text);
  });
});
