import { readFileSync } from "node:fs";

/** The version of this package. */
export function programVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

/** The folder with the files of the HTTP service's web page. The build writes it, beside the command. */
export const webPageFolder = (): URL => new URL("../../dist/web/", import.meta.url);
