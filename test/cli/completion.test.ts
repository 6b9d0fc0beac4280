import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PROGRAM } from "./child.ts";
import { cryptoki } from "./program.ts";

const found = async (...words: string[]): Promise<string[]> =>
  (await cryptoki(["completion", "words", "--", ...words])).stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t")[0] ?? "");

describe("the words that may follow", () => {
  test.each([
    [["pin", "un"], ["unlock"]],
    [["tok"], ["tokens", "token"]],
    [["--reader", "x", "pin", "st"], ["status"]],
    [["--json", "pin", "st"], ["status"]],
    [
      ["sign", "--format", ""],
      ["der", "raw"],
    ],
    [["sign", "--format=r"], ["--format=raw"]],
    [
      ["sign", "--hash", "sha3-"],
      ["sha3-224", "sha3-256", "sha3-384", "sha3-512"],
    ],
    [
      ["--transport", ""],
      ["auto", "pcscd", "native", "addon"],
    ],
    [["sign", "--enco"], ["--encoding"]],
    [["sign", "--pin-s"], ["--pin-source"]],
    [["sign", ""], []],
    [["sign", "--output", ""], []],
    [["nosuch", "--he"], ["--help"]],
  ])("%j: %j", async (words, expected) => {
    expect(await found(...words)).toEqual(expected);
  });

  test("are every command where none is begun", async () => {
    expect(await found("")).toEqual(expect.arrayContaining(["sign", "self-test", "completion", "man"]));
    expect(await found('""')).toEqual(await found(""));
  });
});

describe("a script", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "cryptoki-completion-"));
    const program = path.join(folder, "cryptoki");
    writeFileSync(program, `#!/bin/sh\nexec ${PROGRAM} "$@"\n`);
    chmodSync(program, 0o755);
  });
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });
  const inShell = (shell: string, script: string): string =>
    execFileSync(shell, ["-c", script], {
      env: { ...process.env, PATH: `${folder}:${process.env["PATH"] ?? ""}` },
      encoding: "utf8",
    });

  test("of bash completes a command", async () => {
    const { stdout } = await cryptoki(["completion", "bash"]);
    const answer = inShell(
      "bash",
      `${stdout}\nCOMP_WORDS=(cryptoki pin un); COMP_CWORD=2; _cryptoki; printf '%s\\n' "\${COMPREPLY[@]}"`,
    );
    expect(answer).toBe("unlock\n");
  }, 60_000);

  test("of PowerShell names the program", async () => {
    expect((await cryptoki(["completion", "powershell"])).stdout).toMatch(/-CommandName cryptoki/u);
  });

  test("there is none for another shell", async () => {
    expect(await cryptoki(["completion", "elvish"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("it has bash, zsh, fish, powershell"),
    });
  });
});

describe("a manual page", () => {
  test("has the options, the examples and the way to the others", async () => {
    const { stdout } = await cryptoki(["man", "pin", "unlock"]);
    expect(stdout).toMatch(/^\.TH CRYPTOKI-PIN-UNLOCK 1 /u);
    expect(stdout).toMatch(/\n\.SH OPTIONS\n\.TP\n\.B \\-\\-puk\\-source <source>\n/u);
    expect(stdout).toMatch(/\n\.SH EXAMPLES\n\.nf\n# asks for the PUK/u);
    expect(stdout).toMatch(/\n\.BR cryptoki\\-pin \(1\)\n/u);
    const program = await cryptoki(["man"]);
    for (const title of ["COMMANDS", "EXAMPLES", "EXIT CODES", "ENVIRONMENT"])
      expect(program.stdout).toContain(`\n.SH ${title}\n`);
    expect(program.stdout).toContain("\n0  done; for verify: the signature is valid\n");
  });

  test("is written for every command", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "cryptoki-man-"));
    try {
      expect((await cryptoki(["man", "--folder", folder])).code).toBe(0);
      const pages = readdirSync(folder);
      expect(pages).toEqual(expect.arrayContaining(["cryptoki.1", "cryptoki-pin.1", "cryptoki-pin-unlock.1"]));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("of a command that there is not", async () => {
    expect(await cryptoki(["man", "nosuch"])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("no command nosuch"),
    });
  });
});
