import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough, Readable } from "node:stream";
import type { Environment } from "../../src/cli/output/printer.ts";
import { FileError, PinMissingError, UsageError } from "../../src/cli/output/failures.ts";
import { parsePinSource, PIN, readPin } from "../../src/cli/input/pin.ts";

let folder = "";
let file = "";
beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "cryptoki-pin-"));
  file = path.join(folder, "pin");
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function environment(stdin = "", env: Environment["env"] = {}): Environment {
  const streams = { stdin: Readable.from([Buffer.from(stdin)]), stdout: new PassThrough(), stderr: new PassThrough() };
  return { ...streams, env, signal: new AbortController().signal };
}

async function pinFrom(source: string | undefined, given = environment()): Promise<string> {
  const pin = await readPin(
    { ...PIN, question: "PIN", source: source === undefined ? undefined : parsePinSource(source) },
    given,
  );
  return Buffer.from(pin).toString("utf8");
}

describe("a PIN comes from", () => {
  test.each([
    ["a file of one line", "123456\n"],
    ["a file without an end of line", "123456"],
    ["a file with the end of line of Windows", "123456\r\n"],
    ["the first line of a longer file", "123456\nsomething else\n"],
  ])("%s", async (_, content) => {
    writeFileSync(file, content);
    expect(await pinFrom(`file:${file}`)).toBe("123456");
    expect(await pinFrom(`file://${file}`)).toBe("123456");
  });

  test("an open file descriptor, which is closed then", async () => {
    writeFileSync(file, "654321\n");
    expect(await pinFrom(`fd:${openSync(file, "r")}`)).toBe("654321");
  });

  test("standard input", async () => {
    expect(await pinFrom("-", environment("00000000\n"))).toBe("00000000");
  });

  test("a variable by name, or the usual one", async () => {
    expect(await pinFrom("env:MY_PIN", environment("", { MY_PIN: "1111" }))).toBe("1111");
    expect(await pinFrom(undefined, environment("", { CRYPTOKI_PIN: "2222" }))).toBe("2222");
  });

  test("a source that was named, rather than the usual variable", async () => {
    expect(await pinFrom("env:MY_PIN", environment("", { MY_PIN: "1111", CRYPTOKI_PIN: "2222" }))).toBe("1111");
  });
});

describe("there is no PIN", () => {
  test.each(["123456", "file:", "env:", "fd:x", "http://example.test/pin", "|cat /etc/pin"])(
    "in the source %s, and the message does not repeat it",
    (source) => {
      expect(() => parsePinSource(source)).toThrow(UsageError);
      expect(() => parsePinSource(source)).toThrow(/^(?!.*123456)/u);
    },
  );

  test("in a variable that is not set", async () => {
    await expect(pinFrom("env:MY_PIN")).rejects.toThrow(PinMissingError);
  });

  test("in an empty file", async () => {
    writeFileSync(file, "\n");
    await expect(pinFrom(`file:${file}`)).rejects.toThrow(PinMissingError);
  });

  test("in a file that is too long to be one", async () => {
    writeFileSync(file, "1".repeat(100_000));
    await expect(pinFrom(`file:${file}`)).rejects.toThrow(FileError);
  });

  test("in a file that is not there", async () => {
    await expect(pinFrom(`file:${file}.absent`)).rejects.toThrow(/absent cannot be read: no such file or folder/u);
  });
});
