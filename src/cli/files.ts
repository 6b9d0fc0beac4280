import { readFile, writeFile } from "node:fs/promises";
import type { Environment } from "./environment.ts";
import { FileError } from "./failure.ts";

/** More than this is no message that one signs with a card, and would be held in memory whole. */
const MAX_INPUT = 1 << 30;

/** All of a file; of standard input if `path` is left out or "-". */
export async function readInput(path: string | undefined, { stdin }: Environment): Promise<Uint8Array> {
  if (path !== undefined && path !== "-") return readWhole(path);
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of stdin) {
    const part = Buffer.from(chunk as Uint8Array);
    length += part.length;
    if (length > MAX_INPUT) throw new FileError(`standard input has more than ${MAX_INPUT} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** All of the file at `path`. */
export async function readWhole(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new FileError(`cannot read ${path}: ${reason(cause)}`, { cause });
  }
}

/** Whom a new file is for: everybody whom the user lets (umask), or the user alone. */
export const FOR = { ALL: 0o666, USER: 0o600 } as const;

/** Writes a new file, or over an old one. */
export async function writeWhole(path: string, bytes: Uint8Array | string, mode: number = FOR.ALL): Promise<void> {
  try {
    await writeFile(path, bytes, { mode });
  } catch (cause) {
    throw writeFailure(path, cause);
  }
}

/** The error for a file that could not be written. */
export function writeFailure(path: string, cause: unknown): FileError {
  return new FileError(`cannot write ${path}: ${reason(cause)}`, { cause });
}

/** What the operating system calls an error: "ENOENT". */
export function systemCode(error: unknown): string | undefined {
  const isCoded = typeof error === "object" && error !== null && "code" in error;
  return isCoded && typeof error.code === "string" ? error.code : undefined;
}

function reason(error: unknown): string {
  const code = systemCode(error);
  switch (code) {
    case "ENOENT":
      return "no such file or folder";
    case "EACCES":
    case "EPERM":
      return "not permitted";
    case "EISDIR":
      return "it is a folder";
    case "ENOSPC":
      return "no space left";
    default:
      return code ?? "failed";
  }
}
