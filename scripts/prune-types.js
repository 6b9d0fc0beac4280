/**
 * Removes from `dist` the types that no way in of the package reaches: those of the command, and of what only it uses. tsc writes the types of
 * every file.
 *
 * Takes another folder than `dist` as its argument.
 */
import { readdir, readFile, rm, rmdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const [folder = path.join(ROOT, "dist")] = process.argv.slice(2);
const { exports: entries } = JSON.parse(await readFile(path.join(ROOT, "package.json"), "utf8"));

/** @type {Set<string>} */
const reached = new Set();
const waiting = Object.values(entries).flatMap(({ types }) =>
  types === undefined ? [] : [path.join(folder, path.relative("dist", types))],
);
for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
  if (reached.has(file)) continue;
  reached.add(file);
  const text = await readFile(file, "utf8");
  for (const [, specifier = ""] of text.matchAll(/\b(?:from|import\(|import)\s*"(\.[^"]+)"/gu)) {
    waiting.push(path.resolve(path.dirname(file), specifier.replace(/\.[jt]s$/u, ".d.ts")));
  }
}
const all = await readdir(folder, { recursive: true, withFileTypes: true });
for (const { name, parentPath } of all) {
  const file = path.join(parentPath, name);
  if (name.endsWith(".d.ts") && !reached.has(path.resolve(file))) await rm(file);
}
// Folders that are empty now, the deepest first.
const folders = all.filter((entry) => entry.isDirectory()).map(({ name, parentPath }) => path.join(parentPath, name));
for (const one of folders.sort((a, b) => b.length - a.length)) {
  if ((await readdir(one)).length === 0) await rmdir(one);
}
