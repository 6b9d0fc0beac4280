import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "@jest/globals";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "webcrypto-guide-"));
  await symlink(path.join(PROJECT, "node_modules"), path.join(folder, "node_modules"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Runs the program that a page's pieces make together, on a virtual card in place of the daemon's. */
async function run(page: string): Promise<string> {
  const text = await readFile(path.join(PROJECT, page), "utf8");
  const program = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block).join("\n");
  const onCard = program.replace("new Pcscd()", "await readers()");
  expect(onCard).not.toBe(program);
  const file = path.join(folder, "program.mts");
  await writeFile(
    file,
    `${onCard}
     import { MemoryReaders } from "cryptoki/pcsc";
     import { VirtualPivCard } from "cryptoki/virtual";
     function askForPin() { return "123456"; }
     async function readers() {
       const readers = new MemoryReaders();
       readers.plug("Reader");
       readers.insert("Reader", await VirtualPivCard.create());
       return readers.client();
     }`,
  );
  const args = ["--import", import.meta.resolve("tsx"), file];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: PROJECT, timeout: 60_000 });
  return stdout;
}

test("docs/guides/webcrypto.md, as it stands", async () => {
  const output = await run("docs/guides/webcrypto.md");
  expect(output).toMatch(/^letter: true\n-----BEGIN CERTIFICATE REQUEST-----/u);
  expect(output).toMatch(/-----END CERTIFICATE REQUEST-----\nmessage: true\nan important letter\n$/u);
}, 60_000);
