import { beforeAll, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

/** Lines that each program may have, without blanks and comments. */
const LINES: Readonly<Record<string, number>> = {
  "sign-a-file": 7,
  "sign-many-files": 8,
  "json-web-token": 10,
  "cms-message": 19,
  "certificate-request": 10,
  "renew-certificates": 22,
  "ssh-signature": 19,
  "decrypt-a-stream": 11,
  "agree-on-a-key": 8,
  "watch-cards": 7,
  "unlock-a-pin": 6,
  "two-pins": 7,
  "attest-a-key": 7,
  "remote-module": 6,
  "test-with-a-virtual-card": 6,
};

let results: Readonly<Record<string, unknown>> = {};

beforeAll(async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "example-tasks-"));
  try {
    await cp(path.join(PROJECT, "examples/tasks"), path.join(folder, "tasks"), { recursive: true });
    await writeFile(path.join(folder, "package.json"), JSON.stringify({ type: "module" }));
    await symlink(path.join(PROJECT, "node_modules"), path.join(folder, "node_modules"));
    const program = fileURLToPath(new URL("./run-tasks.ts", import.meta.url));
    const args = ["--import", import.meta.resolve("tsx"), program, folder];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: PROJECT, timeout: 100_000 });
    results = JSON.parse(stdout) as typeof results;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 120_000);

describe("examples/tasks, as they stand", () => {
  test.each(Object.entries(LINES))("%s has at most %i lines", async (name, most) => {
    const text = await readFile(path.join(PROJECT, "examples/tasks", `${name}.ts`), "utf8");
    const lines = text.split("\n").filter((line) => !/^\s*($|\/\/|\/\*|\*)/u.test(line));
    expect(lines.length).toBeLessThanOrEqual(most);
  });

  test("a file is signed, and many with one PIN", () => {
    expect(results["sign-a-file"]).toBe(true);
    expect(results["sign-many-files"]).toEqual({ valid: 20, verifications: 1 });
  });

  test("a token of JOSE and messages of CMS and ssh are valid", () => {
    expect(results["json-web-token"]).toEqual(["ada"]);
    expect(results["cms-message"]).toBe("3082");
    expect(results["ssh-signature"]).toBe(true);
  });

  test("a certificate is requested, and those that expire are renewed", () => {
    expect(results["certificate-request"]).toEqual([expect.stringMatching(/^-----BEGIN CERTIFICATE REQUEST-----/u)]);
    expect(results["renew-certificates"]).toHaveLength(3);
    expect(results["renewed by"]).toBe(3);
  });

  test("a stream is decrypted, and a secret agreed on", () => {
    expect(results["decrypt-a-stream"]).toBe("meet me at noon");
    expect(results["agree-on-a-key"]).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/u)]);
  });

  test("cards are watched, and a key is attested", () => {
    expect(results["watch-cards"]).toBe(1);
    expect(results["attest-a-key"]).toBe(2);
  });

  test("a PIN is unlocked, and each PIN of a card signs", () => {
    expect(results["before unlock-a-pin"]).toBe("locked");
    expect(results["unlock-a-pin"]).toEqual(["usable"]);
    expect(results["two-pins"]).toHaveLength(4);
  });

  test("a module elsewhere signs, and a virtual card", () => {
    expect(results["remote-module"]).toEqual(["256"]);
    expect(results["test-with-a-virtual-card"]).toEqual(["true"]);
  });
});
