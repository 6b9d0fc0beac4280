/**
 * Builds `dist`: one bundle for each way in, with what they share in chunks. Node spends most of a start on finding and opening
 * modules, and this package has hundreds of small ones. Types come from tsc, file by file, beside the bundles. Takes another folder
 * than `dist` as its argument.
 */
import { execFileSync } from "node:child_process";
import { rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

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
  "formats",
  "webcrypto",
  "testing",
];
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [outdir = path.join(ROOT, "dist")] = process.argv.slice(2);

await rm(outdir, { recursive: true, force: true });
await build({
  absWorkingDir: ROOT,
  entryPoints: ["index", ...ROOMS.map((room) => `${room}/index`), "cli/main"].map((name) => `src/${name}.ts`),
  outbase: "src",
  outdir,
  bundle: true,
  splitting: true,
  chunkNames: "chunks/[hash]",
  format: "esm",
  platform: "node",
  target: "node20.19",
  packages: "external",
  // Less to parse at every start; names stay, for stack traces.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  logLevel: "warning",
});

// The manual pages, from the same definitions as the help.
execFileSync(process.execPath, [path.join(outdir, "cli/main.js"), "man", "--folder", path.join(outdir, "man")], {
  cwd: ROOT,
  stdio: ["ignore", "ignore", "inherit"],
});
