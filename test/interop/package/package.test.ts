import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, jest, test } from "@jest/globals";
import { run, type RunResult } from "../rig/run.ts";

jest.setTimeout(300_000);

const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
let folder: string;
/** What npm said while it installed the package. */
let remarks = "";

/** Runs a program in the empty project, as for a user without a smart-card daemon. */
async function succeed(program: string, ...args: string[]): Promise<RunResult> {
  const env = { PCSCLITE_CSOCK_NAME: path.join(folder, "no-daemon"), INIT_CWD: undefined };
  const result = await run(program, args, { cwd: folder, env, timeout: 240_000 });
  expect(result).toMatchObject({ code: 0 });
  return result;
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), "package-"));
  // As root, npm runs scripts as the owner of the folder they are in.
  const packed = await run("npm", ["pack", "--ignore-scripts", "--pack-destination", folder], { cwd: PROJECT });
  expect(packed).toMatchObject({ code: 0 });
  const [archive] = (await readdir(folder)).filter((name) => name.endsWith(".tgz"));
  await succeed("npm", "init", "-y");
  ({ stderr: remarks } = await succeed("npm", "install", "--no-audit", "--no-fund", `./${archive ?? ""}`));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("installs without a native build or an install script", async () => {
  const lock = JSON.parse(await readFile(path.join(folder, "package-lock.json"), "utf8")) as {
    packages: Record<string, { hasInstallScript?: boolean }>;
  };
  expect(Object.entries(lock.packages).filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
  const files = await readdir(path.join(folder, "node_modules"), { recursive: true });
  expect(files.filter((name) => name.endsWith(".node"))).toEqual([]);
});

test("is installed without a warning, with every file that README links to, and no source map", async () => {
  // Of an archive in a folder npm names the script `prepare`; from a registry it neither runs nor names it.
  expect(remarks.replaceAll(/^npm warn install-scripts.*\n/gmu, "")).toBe("");
  const installed = path.join(folder, "node_modules", "cryptoki");
  const readme = await readFile(path.join(installed, "README.md"), "utf8");
  const links = [...readme.matchAll(/\]\((?!https?:|#)([^)#]+)/gu)].map(([, link = ""]) => link);
  const files = await readdir(installed, { recursive: true });
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((link) => !files.includes(link.replace(/\/$/u, "")))).toEqual([]);
  expect(files.filter((name) => name.endsWith(".map"))).toEqual([]);
  // Of the HTTP service's web page.
  const page = ["icon.svg", "index.html", "page.css", "page.js"].map((name) => `dist/web/${name}`);
  expect(files.filter((name) => name.startsWith("dist/web/")).sort()).toEqual(page);
});

test("brings no optional package, and names it as a peer", async () => {
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(
    await readFile(path.join(PROJECT, "package.json"), "utf8"),
  ) as Record<"peerDependencies" | "peerDependenciesMeta", Record<string, unknown>>;
  const optional = [
    ...["@auth0/cose", "@fastify/swagger", "@nats-io/jetstream", "@nats-io/kv", "@nats-io/transport-node"],
    ...["@opentelemetry/api", "@signpdf/signpdf", "@xmldom/xmldom", "fastify", "jose", "koffi", "pcsclite"],
    ...["pdf-lib", "prom-client", "resedit", "xadesjs", "xmldsigjs", "xpath"],
  ];
  expect(Object.keys(peerDependencies).sort()).toEqual(optional);
  expect(peerDependenciesMeta).toEqual(Object.fromEntries(optional.map((name) => [name, { optional: true }])));
  const installed = await readdir(path.join(folder, "node_modules"));
  expect(installed.filter((name) => optional.includes(name))).toEqual([]);
});

test("has a lock file that agrees with package.json", async () => {
  const copy = await mkdtemp(path.join(os.tmpdir(), "lock-"));
  try {
    for (const file of ["package.json", "package-lock.json"])
      await copyFile(path.join(PROJECT, file), path.join(copy, file));
    const args = ["install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"];
    expect(await run("npm", args, { cwd: copy, env: { INIT_CWD: undefined }, timeout: 240_000 })).toMatchObject({
      code: 0,
    });
    const lock = (of: string): Promise<string> => readFile(path.join(of, "package-lock.json"), "utf8");
    expect(await lock(copy)).toBe(await lock(PROJECT));
  } finally {
    await rm(copy, { recursive: true });
  }
});

/** Beside this Node: test/interop/runtimes/package.json has them. */
const RUNTIMES = [
  { name: "Node", program: process.execPath, args: [] },
  { name: "Bun", program: "@oven/bun-linux-x64/bin/bun", args: [] },
  { name: "Deno", program: "@deno/linux-x64-glibc/deno", args: ["run", "--allow-all", "--no-remote"] },
].map(({ program, ...runtime }) => ({
  ...runtime,
  program: path.resolve(PROJECT, "test/interop/runtimes/node_modules", program),
}));

test.each(RUNTIMES)("on $name: has every entry point, and signs", async ({ program, args }) => {
  await copyFile(path.join(PROJECT, "test/interop/package/signs.mjs"), path.join(folder, "signs.mjs"));
  const { stdout } = await succeed(program, ...args, "signs.mjs");
  expect(JSON.parse(stdout)).toEqual({ rsa: [true, true], ecdsa: [true, true] });
});

test.each(RUNTIMES.slice(1))("on $name: runs the demonstration", async ({ program, args }) => {
  const { stdout } = await succeed(program, ...args, "node_modules/cryptoki/dist/cli/main.cjs", "demo");
  expect(stdout).toContain("The signature is valid.");
});

test("runs the demonstration", async () => {
  const { stdout } = await succeed("npx", "--no-install", "cryptoki", "demo");
  expect(stdout).toMatch(/verified/iu);
});

test("is imported by its name, and by each of its paths", async () => {
  const program = `
    import { Cryptoki, CKR, piv } from "cryptoki";
    import { Pcscd } from "cryptoki/pcsc";
    import { CardChannel } from "cryptoki/apdu";
    import { VirtualPivCard } from "cryptoki/virtual";
    import { TokenCrypto } from "cryptoki/webcrypto";
    console.log([Cryptoki, Pcscd, CardChannel, VirtualPivCard, TokenCrypto].map((one) => typeof one).join(), CKR.OK, piv.name);
  `;
  const { stdout } = await succeed("node", "--input-type=module", "--eval", program);
  expect(stdout).toBe("function,function,function,function,function 0 piv\n");
});

/** The oldest that is supported, and the project's own. */
const COMPILERS = [
  { compiler: "TypeScript 5.7", folder: "test/interop/runtimes/node_modules/typescript-5.7", lib: ["es2022"] },
  { compiler: "TypeScript 5.7", folder: "test/interop/runtimes/node_modules/typescript-5.7", lib: ["es2022", "dom"] },
  { compiler: "TypeScript 6.0", folder: "node_modules/typescript", lib: ["es2022"] },
];

test.each(COMPILERS)(
  "compiles with $compiler and $lib, without skipLibCheck and without @types/node",
  async ({ folder: compiler, lib }) => {
    const { exports } = JSON.parse(await readFile(path.join(PROJECT, "package.json"), "utf8")) as {
      exports: Record<string, { types?: string }>;
    };
    const entries = Object.keys(exports).filter((entry) => exports[entry]?.types !== undefined);
    expect(entries.length).toBeGreaterThan(10);
    const imports = entries.map((entry, index) => `export * as e${index} from "cryptoki${entry.slice(1)}";\n`);
    await writeFile(path.join(folder, "entries.mts"), imports.join(""));
    await copyFile(path.join(PROJECT, "test/types/package-user.ts"), path.join(folder, "user.mts"));
    // A user's program that must not compile: the types say something.
    const wrong = 'import { openTokens } from "cryptoki";\nexport const wrong: number = openTokens();\n';
    await writeFile(path.join(folder, "wrong.mts"), wrong);
    const options = {
      noEmit: true,
      strict: true,
      exactOptionalPropertyTypes: true,
      target: "es2022",
      module: "nodenext",
    };
    const config = { compilerOptions: { ...options, lib, types: [] }, files: ["entries.mts", "user.mts", "wrong.mts"] };
    await writeFile(path.join(folder, "tsconfig.json"), JSON.stringify(config));
    const { stdout } = await run(process.execPath, [path.join(PROJECT, compiler, "bin/tsc"), "-p", folder], {
      cwd: folder,
      timeout: 240_000,
    });
    expect(stdout.trim().split("\n")).toEqual([expect.stringMatching(/^wrong\.mts\(2,14\): error TS2322/u)]);
  },
);

test.each(["node-22", "node-24", process.execPath])(
  "is loaded by require in %s, from each of its paths",
  async (node) => {
    const installed = path.join(PROJECT, "test/interop/runtimes/node_modules", node, "bin/node");
    const program = `
    const { Cryptoki, CKR, openTokens } = require("cryptoki");
    const { Pcscd } = require("cryptoki/pcsc");
    const { TokenCrypto } = require("cryptoki/webcrypto");
    const { exports: ways } = require("cryptoki/package.json");
    const paths = Object.keys(ways).filter((each) => ways[each].default);
    const loaded = paths.map((each) => Object.keys(require("cryptoki" + each.slice(1))).length > 0);
    console.log([Cryptoki, openTokens, Pcscd, TokenCrypto].map((one) => typeof one).join(), CKR.OK, loaded.every(Boolean));
  `;
    await writeFile(path.join(folder, "program.cjs"), program);
    const { stdout } = await succeed(node === process.execPath ? node : installed, "program.cjs");
    expect(stdout).toBe("function,function,function,function 0 true\n");
  },
);

test("reaches the system's library by koffi that was installed without its install script", async () => {
  const { dependencies } = JSON.parse(
    await readFile(path.join(PROJECT, "test/interop/native/package.json"), "utf8"),
  ) as { dependencies: { koffi: string } };
  await succeed("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", `koffi@${dependencies.koffi}`);
  const program = `
    import { openSystemPcsc } from "cryptoki";
    const { pcsc, transport } = await openSystemPcsc({ transport: "native" });
    const answer = await pcsc.readers().catch((error) => error.codeName);
    await pcsc.close();
    console.log(transport, answer);
  `;
  const { stdout } = await succeed("node", "--input-type=module", "--eval", program);
  // The library's own answer: there is no daemon.
  expect(stdout).toBe("native SCARD_E_NO_SERVICE\n");
});
