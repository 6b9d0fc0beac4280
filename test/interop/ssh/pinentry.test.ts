import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { PassThrough } from "node:stream";
import { chooseDialogs } from "../../../src/cli/input/dialogs.ts";
import { requirePrograms } from "../rig/require.ts";

/** A terminal that prints its name, and on which this is typed each time a question has come. */
const TERMINAL = `
import os, pty, sys
master, slave = pty.openpty()
print(os.ttyname(slave), flush=True)
seen = b""
while True:
    seen += os.read(master, 4096)
    if b"PIN:" in seen:
        os.write(master, sys.argv[1].encode().decode("unicode_escape").encode())
        seen = b""
`;

let folder: string;
beforeAll(() => {
  requirePrograms("pinentry-curses", "python3");
  folder = mkdtempSync(path.join(tmpdir(), "pinentry-"));
  symlinkSync("/usr/bin/pinentry-curses", path.join(folder, "pinentry"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** What pinentry-curses gives when this is typed. */
async function ask(typed: string): Promise<string> {
  const terminal: ChildProcess = spawn("python3", ["-c", TERMINAL, typed], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [name] = (await once(terminal.stdout ?? terminal, "data")) as [Buffer];
    const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()];
    const env = { PATH: folder, GPG_TTY: name.toString().trim(), TERM: "xterm" };
    const dialogs = chooseDialogs("pinentry", { stdin, stdout, stderr, env, signal: new AbortController().signal });
    return Buffer.from(await dialogs.askPin("PIN of the card", undefined)).toString();
  } finally {
    terminal.kill();
    await once(terminal, "exit");
  }
}

test("a PIN that is typed into Debian's pinentry-curses arrives as it is", async () => {
  expect(await ask(String.raw`12%34\r`)).toBe("12%34");
}, 30_000);

test("Cancel is no PIN", async () => {
  await expect(ask(String.raw`\t\t\r`)).rejects.toThrow("no PIN was given");
}, 30_000);
