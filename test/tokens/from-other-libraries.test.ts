import { expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));

/** Examples without a program here. */
const NONE = ["DSA", "DH"];

/** The programs in the last column of the tables, by the names in the first, in their order. */
function rows(text: string): [name: string, program: string][] {
  const lines = [...text.matchAll(/^\|(?! its| -)(.*)\|$/gmu)].map(([, line = ""]) => line);
  return lines.map((line) => {
    const [name = "", , ...cells] = line.split(/(?<!\\)\|/u).map((cell) => cell.trim());
    const code = [...cells.join("|").matchAll(/`([^`]+)`/gu)].map(([, part]) => part);
    return [name, code.join("\n")];
  });
}

test("docs/guides/from-other-libraries.md, as it stands", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "libraries-guide-"));
  try {
    await symlink(path.join(PROJECT, "node_modules"), path.join(folder, "node_modules"));
    const text = await readFile(path.join(PROJECT, "docs/guides/from-other-libraries.md"), "utf8");
    const [first = "", last = ""] = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block);
    const examples = rows(text);
    expect(examples).toHaveLength(17);
    expect(examples.filter(([, program]) => program === "").map(([name]) => name)).toEqual(NONE);
    const programs = examples.map(([name, program]) => `${program}\nconsole.log("done: ${name}");`);
    const file = path.join(folder, "program.mts");
    await writeFile(
      file,
      `import { VirtualPivCard } from "cryptoki/virtual";
       import { generateKeyPairSync } from "node:crypto";
       const [rsa, ec] = [generateKeyPairSync("rsa", { modulusLength: 2048 }), generateKeyPairSync("ec", { namedCurve: "P-256" })];
       const card = await VirtualPivCard.create({ yubico: true, pin: "123456", keys: { "9a": rsa, "9c": ec, "9d": ec, "9e": ec } });
       function askForManagementKey() { return "010203040506070801020304050607080102030405060708"; }
       function askForPin() { return "123456"; }
       ${first.replace("openTokens({", "openTokens({ cards: [card],")}
       ${programs.join("\n")}
       ${last}`,
    );
    const args = ["--import", import.meta.resolve("tsx"), file];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: PROJECT, timeout: 60_000 });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => line.startsWith("done: "))).toEqual(examples.map(([name]) => `done: ${name}`));
    const after = (name: string): string | undefined => lines[lines.indexOf(`done: ${name}`) - 1];
    expect(after("verifying")).toBe("true");
    expect(after("decrypting")).toBe("INPUT DATA");
    expect(after("AES")).toBe("26");
    expect(after("RSA")).toBe("INPUT DATA");
    expect(after("ECDSA")).toBe("64");
    expect(after("ECDH")).toBe("16");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
