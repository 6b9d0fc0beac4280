import { expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

test("docs/guides/tokens.md, as it stands", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "tokens-guide-"));
  try {
    await symlink(path.join(PROJECT, "node_modules"), path.join(folder, "node_modules"));
    const text = await readFile(path.join(PROJECT, "docs/guides/tokens.md"), "utf8");
    const program = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block).join("\n");
    const onCard = program.replaceAll("openTokens({", "openTokens({ cards: [card],");
    expect(onCard).not.toBe(program);
    const file = path.join(folder, "program.mts");
    await writeFile(
      file,
      `import { VirtualPivCard } from "cryptoki/virtual";
       import { generateKeyPairSync } from "node:crypto";
       const [rsa, ec] = [generateKeyPairSync("rsa", { modulusLength: 2048 }), generateKeyPairSync("ec", { namedCurve: "P-256" })];
       const card = await VirtualPivCard.create({ yubico: true, pin: "123456", keys: { "9a": rsa, "9c": ec, "9d": ec, "9e": ec } });
       function askForManagementKey() { return "010203040506070801020304050607080102030405060708"; }
       function askForPin(_purpose: string, _again: boolean) { return "123456"; }
       ${onCard}`,
    );
    const args = ["--import", import.meta.resolve("tsx"), file];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: PROJECT, timeout: 60_000 });
    expect(stdout.replace(/^(token|certificate): .*$/gmu, "$1")).toBe(
      [
        "token",
        "letter: true",
        "message: meet me at noon",
        "secret: 32 bytes",
        ...["page: 64 bytes", "page: 64 bytes", "page: 64 bytes"],
        ...["certificate", "certificate", "certificate", "certificate"],
        "made: generated 1",
        "change: inserted",
        "",
      ].join("\n"),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
