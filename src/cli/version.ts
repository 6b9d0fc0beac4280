import { readFileSync } from "node:fs";

/** The package's version: the package's folder is two levels above both the source and the built file. */
export function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const manifest = JSON.parse(text) as { readonly version: string };
  return manifest.version;
}
