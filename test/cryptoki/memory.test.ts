/** Nothing of a call stays in memory once it is over. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, test } from "@jest/globals";

const MAIN = fileURLToPath(new URL("./memory-main.ts", import.meta.url));

interface Line {
  readonly name: string;
  readonly count?: number;
  readonly grown?: number;
  readonly collected?: boolean;
}

const lines = new Map<string, Line>();

beforeAll(async () => {
  const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", "--import", "tsx", MAIN]);
  for (const text of stdout.trim().split("\n")) {
    const line = JSON.parse(text) as Line;
    lines.set(line.name, line);
  }
}, 300_000);

describe("in one process", () => {
  test.each([
    ["signatures in one session", 100_000],
    ["signatures with one signal", 20_000],
    ["attribute reads", 100_000],
    ["sessions opened and closed", 10_000],
    ["logins", 10_000],
    ["aborted waits for an event", 10_000],
    ["objects written and deleted", 5_000],
    ["mebibytes through C_EncryptUpdate", 300],
    ["mebibytes through C_EncryptUpdate, AES-GCM", 300],
    ["mebibytes through C_DigestUpdate", 300],
    ["mebibytes through C_SignUpdate", 300],
  ])("%s, %i of them, leave less than a mebibyte behind", (name, count) => {
    const line = lines.get(name);
    expect(line).toMatchObject({ count });
    expect(line?.grown).toBeLessThan(2 ** 20);
  });
});

test("a plaintext that its caller drops is collected while its session goes on", () => {
  expect(lines.get("a dropped plaintext")).toEqual({ name: "a dropped plaintext", collected: true });
});
