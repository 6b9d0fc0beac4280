import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { run } from "../rig/run.ts";

jest.setTimeout(300_000);

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const GUIDE = path.join(PROJECT, "docs/guides/profile.md");
let folder: string;
let guide: string;

async function succeed(program: string, args: readonly string[], cwd = folder): Promise<string> {
  const result = await run(program, [...args], {
    cwd,
    env: { INIT_CWD: undefined, NODE_OPTIONS: "" },
    timeout: 240_000,
  });
  const output = result.stdout + result.stderr;
  // The output first: it says why the code is what it is.
  expect([result.code, output]).toEqual([0, output]);
  return result.stdout;
}

/** The packed package, unpacked where a project has it, with what its types and its compiler need. */
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "profile-guide-"));
  guide = await readFile(GUIDE, "utf8");
  await succeed("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], PROJECT);
  const [archive = ""] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  const modules = path.join(folder, "node_modules");
  await mkdir(path.join(modules, "cryptoki"), { recursive: true });
  await succeed("tar", ["-xzf", archive, "--strip-components=1", "-C", path.join(modules, "cryptoki")]);
  for (const name of ["@types", "typescript", "undici-types"]) {
    await symlink(path.join(PROJECT, "node_modules", name), path.join(modules, name));
  }
  await mkdir(path.join(modules, ".bin"));
  await symlink("../typescript/bin/tsc", path.join(modules, ".bin", "tsc"));
  await writeFile(path.join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const [, name = "", code = ""] of guide.matchAll(/^```ts file=(\S+)\n(.*?)^```$/gms)) {
    await writeFile(path.join(folder, name), code);
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

test("the guide's profile is type-checked, and passes the conformance suite from the packed package", async () => {
  const blocks = [...guide.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
  const commands = blocks.filter((block) => !block.startsWith("npm install"));
  expect(commands.join("")).toMatch(/npx tsc .*--strict/u);
  const output = await succeed("bash", ["-euo", "pipefail", "-c", commands.join("\n")]);
  expect(output).toMatch(/pass \d\d/u);
  expect(output).toMatch(/fail 0/u);
});

test("the guide's program signs with the card", async () => {
  expect(await succeed("node", ["out/use.js"])).toBe("signature: 64 bytes\n");
});
