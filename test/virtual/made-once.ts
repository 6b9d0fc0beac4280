import { existsSync, linkSync, readFileSync, unlinkSync, writeFileSync } from "node:fs";
import { createHash, randomUUID } from "node:crypto";
import path from "node:path";

/** Of this run of the tests; scripts/jest-setup.js makes it. A program of its own has none. */
const folder = process.env["TEST_SHARED"];
const known = new Map<string, string>();

/**
 * A text that takes long to make, such as a key or the image of a card: made once for all suites of a run. If two suites make it
 * at the same time, both get the first one.
 * @param name Says everything that the text depends on.
 */
export async function madeOnce(name: string, make: () => string | Promise<string>): Promise<string> {
  return find(name) ?? store(name, await make());
}

/** The same, for what is made without a wait. */
export function madeOnceSync(name: string, make: () => string): string {
  return find(name) ?? store(name, make());
}

const fileOf = (directory: string, name: string): string =>
  path.join(directory, createHash("sha256").update(name).digest("hex"));

function find(name: string): string | undefined {
  const text = known.get(name) ?? (folder === undefined ? undefined : read(fileOf(folder, name)));
  if (text !== undefined) known.set(name, text);
  return text;
}

function store(name: string, text: string): string {
  const first = folder === undefined ? text : storeInFolder(folder, name, text);
  known.set(name, first);
  return first;
}

function storeInFolder(directory: string, name: string, text: string): string {
  const draft = path.join(directory, randomUUID());
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    linkSync(draft, fileOf(directory, name));
    return text;
  } catch (error) {
    const first = read(fileOf(directory, name));
    if (first === undefined) throw error;
    return first;
  } finally {
    unlinkSync(draft);
  }
}

/** A file is whole once it has its name. */
function read(file: string): string | undefined {
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}
