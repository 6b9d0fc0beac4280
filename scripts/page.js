/** Builds the web page of the HTTP service: one script without what it does not need, and the other files as they are. */
import { copyFile, mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const SOURCE = fileURLToPath(new URL("../src/service/web", import.meta.url));

/** @param {string} outdir */
export async function buildPage(outdir) {
  await mkdir(outdir, { recursive: true });
  await build({
    absWorkingDir: SOURCE,
    entryPoints: { page: "main.ts" },
    outdir,
    bundle: true,
    minify: true,
    format: "esm",
    target: ["es2022"],
    legalComments: "none",
    logLevel: "warning",
  });
  await build({
    absWorkingDir: SOURCE,
    entryPoints: ["page.css"],
    outdir,
    minify: true,
    target: ["chrome120", "firefox120", "safari17"],
    logLevel: "warning",
  });
  for (const name of ["index.html", "icon.svg"]) await copyFile(path.join(SOURCE, name), path.join(outdir, name));
}
