import { equalBytes } from "../../bytes/index.ts";
import type { FileReference } from "../syntax/path.ts";

/** A part of a file, that holds others too. */
export type FilePart = FileReference & { readonly index: number; readonly length: number };

/** Where index or length is left out, nobody knows what of the file is meant. */
export function isPart(file: FileReference): file is FilePart {
  return file.index !== undefined && file.length !== undefined;
}

/** Whether two parts of one file have a byte in common. */
export function overlap(one: FilePart, other: FilePart): boolean {
  return one.index < other.index + other.length && other.index < one.index + one.length;
}

/** The two parts as one, if one begins in the same file where the other ends. */
export function joined(one: FilePart, other: FilePart): FilePart | undefined {
  if (!equalBytes(one.path, other.path)) return undefined;
  if (one.index + one.length !== other.index && other.index + other.length !== one.index) return undefined;
  return { path: one.path, index: Math.min(one.index, other.index), length: one.length + other.length };
}
