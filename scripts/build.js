/**
 * Builds `dist`.
 *
 * The library: one bundle for each way in, with what they share in chunks. Node spends most of a start on finding and opening modules, and
 * this package has hundreds of small ones. Types come from tsc, file by file, beside the bundles.
 *
 * The command: one CommonJS bundle with the packages that it needs at each start, and a small file that runs it from compiled code
 * (src/cli/code-cache.ts).
 *
 * Takes another folder than `dist` as its argument.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { withShortLocals } from "./local-names.js";
import { buildPage } from "./page.js";
import { withPureConstants } from "./pure.js";

/** Those with a way in of their own, as package.json exports them. */
const ROOMS = [
  "pcsc",
  "apdu",
  "card",
  "piv",
  "pkcs15",
  "cac",
  "p11kit",
  "virtual",
  "tokens",
  "farm",
  "formats",
  "x509",
  "webcrypto",
  "testing",
  "observe",
];
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [outdir = path.join(ROOT, "dist")] = process.argv.slice(2);

/** @satisfies {import("esbuild").BuildOptions} */
const shared = {
  absWorkingDir: ROOT,
  outbase: "src",
  outdir,
  bundle: true,
  platform: /** @type {const} */ ("node"),
  target: "node20.19",
  // Less to parse at every start; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  logLevel: /** @type {const} */ ("warning"),
};

await rm(outdir, { recursive: true, force: true });
const library = await build({
  ...shared,
  entryPoints: ["index", ...ROOMS.map((room) => `${room}/index`)].map((name) => `src/${name}.ts`),
  splitting: true,
  chunkNames: "chunks/[hash]",
  format: "esm",
  packages: "external",
  metafile: true,
});

for (const output of Object.keys(library.metafile.outputs)) {
  const file = path.join(ROOT, output);
  const code = await withShortLocals(file, await readFile(file, "utf8"), shared.target);
  await writeFile(file, withPureConstants(file, code));
}

const { dependencies, peerDependencies } = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));
/** @satisfies {import("esbuild").BuildOptions} */
const commonJs = {
  ...shared,
  format: /** @type {const} */ ("cjs"),
  // Its names are in no stack trace that a program shows to its users.
  minifyIdentifiers: true,
  outExtension: { ".js": ".cjs" },
  // What users install beside it is loaded when it is used; the rest is in the bundle.
  external: Object.keys({ ...dependencies, ...peerDependencies }),
  define: { "import.meta.url": "importMetaUrl" },
  banner: { js: 'const importMetaUrl = require("node:url").pathToFileURL(__filename).href;' },
};
const command = await build({
  ...commonJs,
  entryPoints: [{ in: "src/cli/main.ts", out: "cli/command" }],
  metafile: true,
});
const bundle = path.join(outdir, "cli", "command.cjs");
// src/cli/code-cache.ts gives it the function importModule. A module of Node's is loaded when something of it is first used.
const LAZY = "const lazyModule=(name)=>{let loaded;return new Proxy({},{get:(_,key)=>(loaded??=require(name))[key]})};";
const source = (await readFile(bundle, "utf8"))
  .replaceAll(/\bimport\((?=")/gu, "importModule(")
  .replaceAll(/=require\((?="node:[\w/]+"\)[,;)}])/gu, "=lazyModule(");
await writeFile(bundle, LAZY + source);
const hash = createHash("sha256").update(source).digest("hex");

// What the program's help says is found out here, once.
const outline = path.join(outdir, "cli", "outline.cjs");
await build({ ...commonJs, entryPoints: [{ in: "src/cli/outline-main.ts", out: "cli/outline" }] });
const OUTLINE = execFileSync(process.execPath, [outline], { encoding: "utf8" });
await rm(outline);
await build({
  ...commonJs,
  entryPoints: [
    { in: "src/cli/launch.ts", out: "cli/main" },
    { in: "src/cli/quick.ts", out: "cli/quick" },
    { in: "src/cli/age-plugin.ts", out: "cli/age-plugin-cryptoki" },
    { in: "src/cli/git-sign.ts", out: "cli/cryptoki-git-sign" },
  ],
  define: { ...commonJs.define, OUTLINE, BUNDLE: JSON.stringify(hash) },
});
await writeFile(path.join(outdir, "cli", "LICENSES.txt"), await licences(Object.keys(command.metafile.inputs)));
await buildPage(path.join(outdir, "web"));

/**
 * The licences of the packages in the bundle.
 * @param {readonly string[]} inputs
 */
async function licences(inputs) {
  const folders = new Set(inputs.flatMap((input) => input.match(/^.*node_modules\/(?:@[^/]+\/)?[^/]+/u) ?? []));
  const texts = [...folders].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(path.join(ROOT, folder, "package.json"), "utf8"));
    const text = await licenceText(path.join(ROOT, folder));
    return `${name} ${version}, ${license}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(72)}\n\n`);
}

/** @param {string} folder */
async function licenceText(folder) {
  const name = (await readdir(folder)).find((each) => /^licen[cs]e/iu.test(each));
  if (name === undefined) throw new Error(`${folder} has no licence file`);
  return readFile(path.join(folder, name), "utf8");
}

// The manual pages, from the same definitions as the help.
execFileSync(process.execPath, [path.join(outdir, "cli/main.cjs"), "man", "--folder", path.join(outdir, "man")], {
  cwd: ROOT,
  stdio: ["ignore", "ignore", "inherit"],
});
