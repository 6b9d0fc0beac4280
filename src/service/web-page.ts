import { readFile } from "node:fs/promises";
import type { App } from "./app.ts";

/** The files of the page by their addresses: what a browser may have without credentials. */
const FILES: Readonly<Record<string, readonly [file: string, type: string]>> = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/page.css": ["page.css", "text/css; charset=utf-8"],
  "/page.js": ["page.js", "text/javascript; charset=utf-8"],
  "/icon.svg": ["icon.svg", "image/svg+xml"],
};

/** Addresses of the page. */
export const PAGE_ADDRESSES: ReadonlySet<string> = new Set(Object.keys(FILES));

/** The page takes everything from this service: no script or style in the document, no frame around it, no other address. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/**
 * Serves the page.
 * @param folder Where its files are, as the build writes them.
 * @throws the file system's error for a file that is missing.
 */
export async function addWebPage(app: App, folder: URL): Promise<void> {
  for (const [address, [file, type]] of Object.entries(FILES)) {
    const content = await readFile(new URL(file, folder));
    app.get(address, { schema: { hide: true } }, (_request, reply) => reply.headers(HEADERS).type(type).send(content));
  }
}
