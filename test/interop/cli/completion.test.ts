/** The scripts for shells, and the manual pages: the shells themselves complete with them, and groff reads the pages. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { PROGRAM } from "../../cli/child.ts";
import { requirePrograms } from "../rig/require.ts";
import { run } from "../rig/run.ts";

let folder: string;
beforeAll(async () => {
  requirePrograms("zsh", "fish", "groff");
  folder = await mkdtemp(path.join(tmpdir(), "completion-"));
  await writeFile(path.join(folder, "cryptoki"), `#!/bin/sh\nexec ${PROGRAM} "$@"\n`, { mode: 0o755 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** What a shell writes that reads its script, and then `script`. */
async function inShell(shell: "fish" | "zsh", before: string, script: string): Promise<string> {
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}`, HOME: folder };
  const made = await run(path.join(folder, "cryptoki"), ["completion", shell], { env });
  const { code, stdout, stderr } = await run(shell, ["-c", `${before}\n${made.stdout}\n${script}`], { env });
  expect([code, stderr]).toEqual([0, ""]);
  return stdout;
}

test("fish completes a command with its meaning", async () => {
  const inFish = (line: string): Promise<string> => inShell("fish", "", `complete -C '${line}'`);
  expect(await inFish("cryptoki pin un")).toBe("unlock\tunblock a PIN with its PUK\n");
  expect(await inFish("cryptoki sign --format ")).toMatch(/^der\t.*\nraw\t/u);
}, 60_000);

test("zsh completes a command with its meaning, and files where there is no word", async () => {
  // What zsh's own completion would call.
  const system = `compdef() { : }
    _describe() { print -rl -- \${(P)2} }
    _files() { print files }
    complete() { words=("$@"); CURRENT=$#; _cryptoki }`;
  const inZsh = (line: string): Promise<string> => inShell("zsh", system, `complete ${line}`);
  expect(await inZsh("cryptoki pin un")).toBe("unlock:unblock a PIN with its PUK\n");
  expect(await inZsh("cryptoki --reader x sign --hash sha3-2")).toMatch(/^sha3-224:.*\nsha3-256:/u);
  expect(await inZsh("cryptoki sign ''")).toBe("files\n");
}, 60_000);

test("groff reads every manual page without a warning", async () => {
  const pages = path.join(folder, "pages");
  await run(path.join(folder, "cryptoki"), ["man", "--folder", pages]);
  const files = (await readdir(pages)).map((page) => path.join(pages, page));
  expect(files.length).toBeGreaterThan(50);
  expect(await run("groff", ["-man", "-Tutf8", "-ww", "-z", ...files])).toMatchObject({ code: 0, stderr: "" });
}, 60_000);
