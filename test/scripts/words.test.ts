import { describe, expect, test } from "@jest/globals";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Runs the lint step over one file with this text. */
function check(text: string, name = "text.ts"): { readonly status: number | null; readonly stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), "words-"));
  try {
    const file = join(folder, name);
    writeFileSync(file, text);
    const { status, stderr } = spawnSync(process.execPath, ["scripts/words.js", file], { encoding: "utf8" });
    return { status, stderr: stderr.replaceAll(file, name) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the lint step for phrases", () => {
  test("passes plain sentences", () => {
    expect(check("/** Wipes its copy of the PIN. */\nexport const body = 1;\n")).toEqual({ status: 0, stderr: "" });
  });

  test("names file, line, phrase and the plain way", () => {
    expect(check("const a = 1;\n/** What it takes, unless told. */\n")).toEqual({
      status: 1,
      stderr: 'text.ts:2: "unless told"; plain: name the default: "default: PIV"\n',
    });
  });

  test.each([
    ["in any case", "// Nobody waits.", "Nobody"],
    ["in a message", 'throw new Error("told to whoever asks");', "whoever"],
    ["over two lines of a comment", "/**\n * As if nothing\n * had been.\n */", "As if nothing had been"],
    ["in a document", "It costs nothing and hears of all.", "hears of"],
  ])("finds a phrase %s", (_, text, phrase) => {
    expect(check(text, "text.md")).toMatchObject({ status: 1, stderr: expect.stringContaining(`"${phrase}"`) });
  });

  test("leaves words alone that only contain a phrase", () => {
    expect(check("const nobodyElse = embody(anybodys);\n").status).toBe(0);
  });
});
