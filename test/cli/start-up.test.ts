/** How the built command starts: what it loads, and the code that it keeps compiled for the next start. */
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { builtinModules } from "node:module";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "@jest/globals";
import { build } from "esbuild";
import { run } from "../interop/rig/run.ts";

let folder: string;
let dist: string;
beforeAll(async () => {
  // Under node_modules, so that the command finds the packages which are beside it.
  folder = await mkdtemp(path.resolve("node_modules/.start-up-"));
  dist = path.join(folder, "dist");
  await writeFile(path.join(folder, "package.json"), `{ "type": "module", "version": "1.2.3", "sideEffects": false }`);
  expect(await run(process.execPath, ["scripts/build.js", dist], { timeout: 60_000 })).toMatchObject({ code: 0 });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("the command's bundle asks for no package at a start, only where it is used", async () => {
  const bundle = await readFile(path.join(dist, "cli/command.cjs"), "utf8");
  const named = (call: RegExp): string[] =>
    [...new Set(Array.from(bundle.matchAll(call), ([, name = ""]) => name))]
      .filter((name) => !name.startsWith("node:") && !builtinModules.includes(name))
      .sort();
  expect(named(/\brequire\("([^".][^"]*)"\)/gu)).toEqual([]);
  expect(named(/\bimportModule\("([^".][^"]*)"\)/gu)).toEqual(
    expect.arrayContaining(["@noble/curves/nist.js", "@peculiar/x509", "pkijs", "reflect-metadata"]),
  );
});

test("the command loads such a package with and without compiled code, in silence", async () => {
  for (let round = 0; round < 2; round++) {
    const args = [path.join(dist, "cli/main.cjs"), "--virtual", "piv", "tokens", "--json"];
    const ended = await run(process.execPath, args, { env: { XDG_CACHE_HOME: cache } });
    expect(ended).toMatchObject({ code: 0, stderr: "" });
  }
});

test("the licences of the packages in the bundle are beside it", async () => {
  const licences = await readFile(path.join(dist, "cli/LICENSES.txt"), "utf8");
  for (const name of ["commander", "cli-table3", "picocolors"]) {
    expect(licences).toMatch(new RegExp(`^${name} [\\d.]+, (MIT|ISC)$`, "mu"));
  }
});

test("classes and functions of the library have their names, though local variables are shortened", async () => {
  const names = Object.entries((await import(path.join(dist, "index.js"))) as Record<string, unknown>).flatMap(
    ([name, value]) => (typeof value === "function" ? [[name, value.name.replace(/^_/u, "")]] : []),
  );
  expect(names.length).toBeGreaterThan(30);
  expect(names.map(([, own]) => own)).toEqual(names.map(([name]) => name));
});

test("one function of the library is bundled without the rest of its room", async () => {
  const { outputFiles } = await build({
    stdin: { contents: `export { parseAtr } from "./dist/apdu/index.js"`, resolveDir: folder },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "node",
    write: false,
  });
  expect(outputFiles[0]?.contents.length).toBeLessThan(4096);
});

let cache: string;
beforeEach(async () => {
  cache = await mkdtemp(path.join(os.tmpdir(), "cache-"));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

const start = async (env: NodeJS.ProcessEnv = { XDG_CACHE_HOME: cache }): Promise<void> => {
  const ended = await run(process.execPath, [path.join(dist, "cli/main.cjs"), "--json", "--version"], { env });
  expect(ended).toMatchObject({ code: 0, stdout: "1.2.3\n", stderr: "" });
};
const kept = async (): Promise<string> => {
  const names = await readdir(path.join(cache, "cryptoki"));
  expect(names).toEqual([expect.stringMatching(/^command-v[\d.]+-\w+-[0-9a-z]+-[0-9a-f]{64}$/u)]);
  return path.join(cache, "cryptoki", names[0] ?? "");
};
test.each([["--help"], ["-h"], ["--version"], ["-V"]])(
  "%s alone is answered without the command's bundle",
  async (option) => {
    const args = [path.join(dist, "cli/main.cjs"), option];
    const env = { XDG_CACHE_HOME: cache };
    const quick = await run(process.execPath, args, { env });
    expect(await readdir(cache)).toEqual([]);
    const usual = await run(process.execPath, [...args, "--json"], { env });
    expect(quick).toMatchObject({ code: 0, stderr: "" });
    expect(quick.stdout).toBe(usual.stdout);
    await kept();
  },
);

test("help that cannot be written is an error, as for every command", async () => {
  const command = `"$0" "$@" > /dev/full`;
  const ended = await run("sh", ["-c", command, process.execPath, path.join(dist, "cli/main.cjs"), "--help"], {
    env: { XDG_CACHE_HOME: cache },
  });
  expect(ended.code).toBe(1);
  expect(ended.stderr).toContain("cannot write standard output");
});

test("the code of a bundle that was changed after the build is not taken", async () => {
  await start();
  const bundle = path.join(dist, "cli/command.cjs");
  const { atime, mtime } = await stat(bundle);
  await utimes(bundle, atime, new Date(mtime.getTime() + 1000));
  await start();
  await utimes(bundle, atime, mtime);
  expect(await readdir(path.join(cache, "cryptoki"))).toHaveLength(2);
});

const SPOILT = "not compiled code";

test("the first start keeps the compiled code for its user alone, and the next one takes it", async () => {
  await start();
  const file = await kept();
  const first = await stat(file);
  expect([first.mode & 0o777, (await stat(path.dirname(file))).mode & 0o777]).toEqual([0o600, 0o700]);
  expect(first.size).toBeGreaterThan(100_000);
  await start();
  expect(await stat(file)).toMatchObject({ ino: first.ino, mtimeMs: first.mtimeMs });
});

test("spoilt code costs time only, and is replaced", async () => {
  await start();
  const file = await kept();
  await writeFile(file, SPOILT);
  await start();
  expect((await stat(file)).size).toBeGreaterThan(100_000);
});

test("a folder that others can enter is neither read nor written", async () => {
  await start();
  const file = await kept();
  await writeFile(file, SPOILT);
  await chmod(path.dirname(file), 0o755);
  await start();
  expect(await readFile(file, "utf8")).toBe(SPOILT);
});

test("a file that others can read is not taken", async () => {
  await start();
  const file = await kept();
  const { ino } = await stat(file);
  await chmod(file, 0o644);
  await start();
  const replaced = await stat(file);
  expect([replaced.ino === ino, replaced.mode & 0o777]).toEqual([false, 0o600]);
});

test("a link is not followed, but replaced", async () => {
  await start();
  const file = await kept();
  const elsewhere = path.join(cache, "elsewhere");
  await rename(file, elsewhere);
  await symlink(elsewhere, file);
  await start();
  expect((await lstat(file)).isSymbolicLink()).toBe(false);
});

test("a home that does not exist is not made", async () => {
  const home = path.join(cache, "home");
  await start({ XDG_CACHE_HOME: undefined, HOME: home });
  expect(await readdir(cache)).toEqual([]);
  await mkdir(home);
  await start({ XDG_CACHE_HOME: undefined, HOME: home });
  expect(await readdir(path.join(home, ".cache"))).toEqual(["cryptoki"]);
});

test.each<[string, (folder: string) => NodeJS.ProcessEnv]>([
  ["without a home", () => ({ XDG_CACHE_HOME: undefined, HOME: undefined })],
  ["in a relative folder", () => ({ XDG_CACHE_HOME: "cache", HOME: undefined })],
  ["where Node's own cache is switched off", (folder) => ({ XDG_CACHE_HOME: folder, NODE_DISABLE_COMPILE_CACHE: "1" })],
])("nothing is kept %s", async (_, env) => {
  await start(env(cache));
  expect(await readdir(cache)).toEqual([]);
});
