import { describe, expect, test } from "@jest/globals";
import { readFileSync } from "node:fs";
import { CardFolder, PIN } from "./card.ts";
import { cryptoki, json, jsonError } from "./program.ts";

const SELECT_PIV = "00A4040009A00000030800001000";

describe("apdu explain", () => {
  test("a command, written as one word or as many", async () => {
    const together = await cryptoki(["apdu", "explain", SELECT_PIV]);
    expect(together.code).toBe(0);
    expect(together.stdout).toMatch(/^SELECT .*7816-4/u);
    expect(together.stdout).toContain("PIV card application");
    const apart = await cryptoki(["apdu", "explain", ...(SELECT_PIV.match(/../gu) ?? [])]);
    expect(apart.stdout).toBe(together.stdout);
  });

  test("a command and its answer", async () => {
    const { stdout } = await cryptoki(["apdu", "explain", "00CB3FFF035C017E00", "--answer", "6A82"]);
    expect(stdout).toMatch(/GET DATA/u);
    expect(stdout).toMatch(/^6A82 .*not found/mu);
  });

  test("a status word by itself", async () => {
    const { stdout } = await cryptoki(["apdu", "explain", "63c2", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ kind: "status", status: { code: "63C2", kind: "warning" } });
  });

  test("an answer to reset", async () => {
    const { stdout } = await cryptoki(["apdu", "explain", "3BD518FF8191FE1FC38073C8211309"]);
    expect(stdout).toMatch(/protocols +T=1/u);
  });

  test("a log on standard input, line by line", async () => {
    const { stdout } = await cryptoki(["apdu", "explain", "--json"], { stdin: `> ${SELECT_PIV}\n\n< 6A 82\n` });
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(lines).toMatchObject([
      { kind: "command", name: "SELECT" },
      { kind: "answer", status: { code: "6A82" } },
    ]);
  });

  test("what is not hexadecimal is a usage error that names the line", async () => {
    const outcome = await cryptoki(["apdu", "explain", "--json"], { stdin: "9000\nxyz\n" });
    expect(outcome.code).toBe(2);
    expect(jsonError(outcome)).toMatchObject({ name: "UsageError", message: expect.stringContaining("line 2") });
  });
});

describe("apdu send", () => {
  test("each APDU and its answer, on a virtual card", async () => {
    const { code, stdout } = await cryptoki(["--virtual", "apdu", "send", SELECT_PIV, "0020008000", "--json"]);
    expect(code).toBe(0);
    const [select, verify] = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(select).toMatchObject({ command: SELECT_PIV.toLowerCase(), name: "SELECT", status: { kind: "success" } });
    expect(verify).toMatchObject({ name: "VERIFY", data: "", status: { code: "63C3" } });
  });

  test("APDUs from standard input, and a trace in which the PIN does not show", async () => {
    const verify = "00200080083132333435 36FFFF";
    const { code, stdout, stderr } = await cryptoki(["--virtual", "apdu", "send", "--trace"], {
      stdin: `${SELECT_PIV}\n${verify}\n`,
    });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^-> 00 20 00 80 \*\* {2}VERIFY/mu);
    expect(stderr + stdout).not.toMatch(/31 ?32/u);
  });

  test.each([
    ["nothing to send", [], /no APDU/u],
    ["a command that is too short", ["00A4"], /at least 4/u],
    ["no hexadecimal", ["zz"], /not hexadecimal/u],
  ])("%s is a usage error", async (_, args, message) => {
    const { code, stderr } = await cryptoki(["--virtual", "apdu", "send", ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe("apdu explain of more than one APDU", () => {
  test("a command and its answer as two arguments", async () => {
    const { stdout } = await cryptoki(["apdu", "explain", "00CB3FFF035C017E00", "6A82", "--json"]);
    const lines = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { kind: string });
    expect(lines.map(({ kind }) => kind)).toEqual(["command", "answer"]);
    // Bytes apart are still one command.
    const apart = await cryptoki(["apdu", "explain", "00CB3FFF", "035C017E00"]);
    expect(apart.stdout).toMatch(/^GET DATA/u);
  });

  test.each([
    [["> 00CB3FFF035C017E00", "< 6A82"]],
    [["> 00CB3FFF035C017E00\n< 6A82\n"]],
    [["> 00 CB 3F FF 03 5C 01 7E 00\n< 6A82", "> 0020008000\n< 63C3"]],
  ])("lines of a log as arguments: %j", async (words) => {
    const { code, stdout } = await cryptoki(["apdu", "explain", ...words]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^GET DATA.*\n.*\n(?:.*\n)*6A82 {2}/u);
    if (words.length === 2 && words[1]?.includes("63C3")) expect(stdout).toMatch(/VERIFY[^]*63C3/u);
  });

  test("a recording: every exchange, and of a concealed one what is left", async () => {
    using folder = await CardFolder.create({ keys: { "9a": "p-256", "9c": null, "9d": null, "9e": null } });
    const recording = folder.file("recording.jsonl");
    const letter = folder.file("letter", "a");
    const args = ["--virtual", folder.card, "sign", "--id", "01", "--record", recording, letter];
    expect((await cryptoki(args, PIN)).code).toBe(0);
    const { code, stdout } = await cryptoki(["apdu", "explain"], { stdin: readFileSync(recording) });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^VERIFY/mu);
    expect(stdout).toMatch(/^GENERAL AUTHENTICATE/mu);
    expect(stdout).toMatch(/^9000 {2}/mu);
    const broken = await cryptoki(["apdu", "explain"], { stdin: `{"format":"other"}\n` });
    expect(broken).toMatchObject({ code: 1, stderr: expect.stringContaining("recording, line 1") });
  });
});

describe("apdu build", () => {
  test.each([
    [["select", "--p1", "04", "--data", "A000000308", "--le", "256"], "00A4040005A00000030800"],
    [["GET DATA", "--p1", "3f", "--p2", "ff", "--data", "5c035fc105", "--le", "256"], "00CB3FFF055C035FC10500"],
    [["get-data", "--p1", "3f", "--p2", "ff", "--data", "5c", "--le", "65536", "--extended"], "00CB3FFF0000015C0000"],
    [["verify", "--p2", "80"], "00200080"],
    [["verify", "--cla", "0c", "--p2", "80"], "0C200080"],
    [["get-status", "--p1", "80", "--p2", "02"], "80F28002"],
  ])("%j", async (args, apdu) => {
    expect(await cryptoki(["apdu", "build", ...args])).toMatchObject({ code: 0, stdout: `${apdu}\n` });
  });

  test("every command that is listed can be built, and explain calls it by a name of the list", async () => {
    const list = json(await cryptoki(["apdu", "build", "--json"])) as { name: string }[];
    expect(list.length).toBeGreaterThan(30);
    const names = new Set(list.map(({ name }) => name));
    for (const name of names) {
      const built = json(await cryptoki(["apdu", "build", name, "--json"])) as { command: string; name: string };
      expect([name, built.command]).toEqual([name, expect.stringMatching(/^[0-9a-f]{8}$/u)]);
      expect(built.name.startsWith("INS ") || names.has(built.name)).toBe(true);
    }
  });

  test.each([
    [["verfy"], /did you mean\n {2}VERIFY\n/u],
    [["nonsense"], /list them with: cryptoki apdu build/u],
    [["verify", "--p2", "8000"], /--p2 is one byte/u],
    [["verify", "--le", "0"], /--le is a number of bytes, 1 to 65536/u],
    [["verify", "--le", "257"], /Ne/u],
  ])("%j is a wrong command line", async (args, message) => {
    const { code, stderr } = await cryptoki(["apdu", "build", ...args]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});
