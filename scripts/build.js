/**
 * Builds `dist`: one bundle for each way in, with what they share in chunks. Node spends most of a start on finding and opening
 * modules, and this package has hundreds of small ones. Types come from tsc, file by file, beside the bundles.
 */
import { rm } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

await rm(new URL("../dist", import.meta.url), { recursive: true, force: true });
await build({
  absWorkingDir: ROOT,
  entryPoints: ["index", "pcsc/index", "apdu/index", "piv/index", "virtual/index", "cli/main"].map(
    (name) => `src/${name}.ts`,
  ),
  outbase: "src",
  outdir: "dist",
  bundle: true,
  splitting: true,
  chunkNames: "chunks/[hash]",
  format: "esm",
  platform: "node",
  target: "node20.19",
  packages: "external",
  // Names are a part of what the user sees: error classes, stack traces.
  keepNames: true,
  sourcemap: true,
  logLevel: "warning",
});
