import { describe, expect, test } from "@jest/globals";
import type { Command } from "commander";
import { PassThrough, Readable } from "node:stream";
import { outlineOf, outlineText } from "../../src/cli/output/outline.ts";
import { createProgram, run } from "../../src/cli/program.ts";
import { cryptoki, jsonError } from "./program.ts";

const root = createProgram({
  stdin: Readable.from([]),
  stdout: new PassThrough(),
  stderr: new PassThrough(),
  env: {},
  signal: new AbortController().signal,
});

const paths = (command: Command, before: readonly string[] = []): string[][] =>
  command.commands.flatMap((sub) => {
    const path = [...before, sub.name()];
    return sub.commands.length > 0 ? paths(sub, path) : [path];
  });

/** What `cryptoki --help` prints on a terminal of this width. */
async function helpOf(columns: number, colours: boolean): Promise<string> {
  const stdout = Object.assign(new PassThrough(), { columns });
  const environment = {
    stdin: Readable.from([]),
    stdout,
    stderr: new PassThrough(),
    signal: new AbortController().signal,
  };
  expect(await run(["--help"], { ...environment, env: colours ? { FORCE_COLOR: "1" } : {} })).toBe(0);
  return String(stdout.read());
}

describe("help", () => {
  test.each(paths(root).map((path) => [path.join(" "), path] as const))("%s has examples", async (_, path) => {
    const { code, stdout } = await cryptoki([...path, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Examples:\n {2}# .+\n {2}\$ .*/u);
    expect(stdout).toMatch(/Global Options:/u);
  });

  test("the exit codes stand in the program's own", async () => {
    const { code, stdout } = await cryptoki(["--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/Exit codes:\n {2}0 /u);
  });

  test.each([30, 41, 60, 80, 100, 237])(
    "the outline of the program's own is printed alike on %d columns",
    async (columns) => {
      const { stdout: whole } = await cryptoki(["--help"]);
      const outline = outlineOf(root, whole);
      for (const bold of [false, true]) {
        expect(outlineText(outline, columns, bold)).toBe(await helpOf(columns, bold));
      }
    },
  );

  test.each([[[]], [["pin"]], [["apdu"]]])("%j lacks a command: help, and exit code 2", async (args) => {
    const { code, stderr } = await cryptoki(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^Usage: cryptoki/u);
  });

  test("the version is the package's", async () => {
    expect((await cryptoki(["--version"])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/u);
  });
});

describe("a usage error", () => {
  test.each([
    [["nothing"]],
    [["readers", "--nothing"]],
    [["readers", "more"]],
    [["verify", "x"]],
    [["readers", "--transport", "x"]],
  ])("%j", async (args) => {
    const outcome = await cryptoki([...args, "--json"]);
    expect(outcome.code).toBe(2);
    expect(jsonError(outcome)).toMatchObject({ name: "UsageError", exitCode: 2 });
  });

  test.each([
    [["readers", "--nothing"], true],
    [["certificate", "request", "--subject", "CN=Ada"], true],
    [["sign", "--id", "77", "--encoding", "hex"], false],
    [["key", "generate", "--so", "--reference", "9a"], false],
    [["token", "reset"], false],
    [["token", "label", "Ada"], false],
    [["dkek", "status"], false],
    [["pin", "change"], false],
  ])("%j points to the help, of other errors none does", async (args, isUsage) => {
    const { stderr } = await cryptoki(["--virtual", ...args], { env: { CRYPTOKI_SO_PIN: "00" } });
    expect(stderr).toMatch(/^error: /mu);
    expect([stderr, stderr.includes("see: cryptoki help")]).toEqual([stderr, isUsage]);
  });

  test("names the command that was meant", async () => {
    expect((await cryptoki(["tokns"])).stderr).toMatch(/cryptoki has no command "tokns"; did you mean tokens\?/u);
  });
});

describe("--virtual", () => {
  test("may stand before the command without its value", async () => {
    expect((await cryptoki(["--virtual", "readers"])).stdout).toContain("Virtual Reader");
  });

  test("a file that is no card", async () => {
    const { code, stderr } = await cryptoki(["--virtual", "package.json", "readers"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/package.json holds no virtual card/u);
  });

  test("a file that is not there", async () => {
    const { code, stderr } = await cryptoki(["--virtual", "/nonexistent", "readers"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/cryptoki virtual create/u);
  });
});

describe("a command that does not exist", () => {
  test.each([
    [["nosuch", "--help"], /^error: cryptoki has no command "nosuch"; it has demo, readers, tokens, /u],
    [["help", "nosuch"], /^error: cryptoki has no command "nosuch"; it has demo/u],
    [["obejcts", "--help"], /"obejcts"; did you mean objects\?/u],
    [["tok"], /"tok"; did you mean tokens or token\?/u],
    [["pin", "unlok"], /^error: cryptoki pin has no command "unlok"; did you mean unlock\?/u],
    [["pin", "nosuch"], /^error: cryptoki pin has no command "nosuch"; it has status, change, unlock/u],
    [["pin", "nosuch", "--help"], /^error: cryptoki pin has no command "nosuch"/u],
    [["pin", "help", "nosuch"], /^error: cryptoki pin has no command "nosuch"/u],
  ])("%j", async (args, message) => {
    const { code, stdout, stderr } = await cryptoki(args);
    expect([code, stdout, stderr]).toEqual([2, "", expect.stringMatching(message)]);
  });

  test("the exit code of help does not depend on what the process has so far", async () => {
    const before = process.exitCode;
    process.exitCode = 1;
    try {
      expect(await cryptoki(["help"])).toMatchObject({ code: 0 });
      expect(await cryptoki(["pin"])).toMatchObject({ code: 2 });
    } finally {
      process.exitCode = before;
    }
  });

  test("one that exists has its help, also after options", async () => {
    for (const args of [
      ["help"],
      ["help", "pin"],
      ["pin", "--help"],
      ["pin", "help", "change"],
      ["--json", "pin", "change", "--help"],
    ]) {
      expect(await cryptoki(args)).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Usage: cryptoki/u) });
    }
  });
});
