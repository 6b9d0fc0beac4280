import { describe, expect, test } from "@jest/globals";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { text } from "node:stream/consumers";
import { end, start } from "./child.ts";

async function firstOutput(child: ChildProcess): Promise<void> {
  if (child.stdout) await once(child.stdout, "data");
}

describe("the process", () => {
  test("ends by itself, with the exit code of what it did", async () => {
    const { code, stdout, stderr } = await end(start(["--virtual", "tokens"]));
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^PIV /u);
  }, 30_000);

  test("without a PIN and without a terminal: exit code 4, and what to do", async () => {
    const child = start(["--virtual", "objects", "--login"]);
    child.stdin?.end();
    const { code, stderr } = await end(child);
    expect(code).toBe(4);
    expect(stderr).toMatch(/--pin-source or CRYPTOKI_PIN/u);
  }, 30_000);

  test("output that the disk has no room for is an error in a line", async () => {
    const full = openSync("/dev/full", "w");
    const { code, stderr } = await end(start(["apdu", "explain", "9000", "--json"], {}, ["pipe", full, "pipe"]));
    closeSync(full);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining("cannot write standard output: no space left"),
    });
    expect(stderr.trim().split("\n")).toHaveLength(1);
  }, 30_000);

  test.each(["SIGINT", "SIGTERM"] as const)(
    "a watch is ended by %s, quietly",
    async (signal) => {
      const child = start(["--virtual", "readers", "--watch"]);
      await firstOutput(child);
      child.kill(signal);
      const { code, stderr } = await end(child);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    },
    30_000,
  );

  test("a command that waits for its input is ended by SIGINT, with the code of shells for it", async () => {
    const child = start(["--virtual", "sign", "--id", "01", "--trace"], { CRYPTOKI_PIN: "123456" });
    // More than fits into a pipe: when it is written, the program is reading.
    await new Promise((resolve) => child.stdin?.write(Buffer.alloc(4 << 20), resolve));
    child.kill("SIGINT");
    const { code, stdout } = await end(child);
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  }, 30_000);

  test("the output has no reader: it ends without a message", async () => {
    const child = start(["--virtual", "readers", "--watch"]);
    child.stdout?.destroy();
    const [stderr, [code]] = await Promise.all([
      child.stderr ? text(child.stderr) : "",
      once(child, "close") as Promise<[number | null]>,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }, 30_000);

  test("an error is a line or two, with the stack only when it is asked for", async () => {
    const missing = { PCSCLITE_CSOCK_NAME: "/nonexistent/pcscd.comm" };
    const { code, stderr } = await end(start(["tokens"], missing));
    expect(code).toBe(3);
    expect(stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
    const debugged = await end(start(["tokens"], { ...missing, CRYPTOKI_DEBUG: "1" }));
    expect(debugged.stderr).toMatch(/^ +at /mu);
  }, 30_000);
});
