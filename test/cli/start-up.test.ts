import { build } from "esbuild";
import { expect, test } from "@jest/globals";

/** Packages that a start of the command loads. Others are loaded with import() where they are used, because loading takes long. */
const AT_START = ["cli-table3", "commander", "picocolors"];

test("a start of the command loads no package that it may not need", async () => {
  const { metafile } = await build({
    entryPoints: ["src/cli/main.ts"],
    outdir: "unwritten",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    packages: "external",
    write: false,
    metafile: true,
    logLevel: "silent",
  });
  const start = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === "src/cli/main.ts")?.[0];
  const reached = new Set<string>();
  const packages = new Set<string>();
  const reach = (output: string | undefined): void => {
    if (output === undefined || reached.has(output)) return;
    reached.add(output);
    for (const { path, kind, external } of metafile.outputs[output]?.imports ?? []) {
      if (kind !== "import-statement") continue;
      if (!external) reach(path);
      else if (!path.startsWith("node:")) packages.add(path);
    }
  };
  reach(start);
  expect([...packages].sort()).toEqual(AT_START);
  // Reached, but not at the start.
  const all = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path));
  expect(all).toEqual(expect.arrayContaining(["@noble/curves/nist.js", "@peculiar/x509", "pkijs", "reflect-metadata"]));
});
