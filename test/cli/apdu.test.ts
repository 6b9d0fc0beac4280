import { describe, expect, test } from "@jest/globals";
import { cryptoki, jsonError } from "./program.ts";

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
