import { concat, DataError, equalBytes, startsWith, toHex } from "../../bytes/index.ts";
import type { DirectoryEntry } from "../syntax/directory.ts";
import type { FileReference } from "../syntax/path.ts";

/** A file's path from the master file, or from the application's DF if its own path is unknown. */
export interface FilePath {
  readonly from: "master-file" | "application";
  /** Two bytes for each file identifier; the master file's own is left out. */
  readonly path: Uint8Array;
}

const MASTER_FILE = Uint8Array.of(0x3f, 0x00);

/** "3F00/5015/4401", for people and as a key. */
export function pathName({ from, path }: FilePath): string {
  const ids = toHex(path).toUpperCase().match(/.{4}/gu) ?? [];
  return [from === "master-file" ? "3F00" : ".", ...ids].join("/");
}

/** The DF of a file. */
export function parentOf(place: FilePath): FilePath {
  return { from: place.from, path: place.path.subarray(0, -2) };
}

export function childOf(place: FilePath, id: Uint8Array): FilePath {
  return { from: place.from, path: concat(place.path, id) };
}

export function masterFilePath(...ids: readonly number[]): FilePath {
  return { from: "master-file", path: Uint8Array.from(ids.flatMap((id) => [id >> 8, id & 0xff])) };
}

/**
 * Resolves a path of a directory file (ISO/IEC 7816-15 section 8.2.5): from the master file if it begins there, else
 * from the application's DF.
 * @throws {DataError} for a short EF identifier, which is not a path.
 */
export function resolve(application: FilePath, { path }: FileReference): FilePath {
  if (startsWith(path, MASTER_FILE)) return { from: "master-file", path: path.subarray(2) };
  if (path.length % 2 !== 0) throw new DataError(`path ${toHex(path)}: a short identifier instead of a path`);
  return childOf(application, path);
}

/** The file that holds only this object's value; undefined if it holds others too. */
export function ownFile(application: FilePath, entry: DirectoryEntry): FilePath | undefined {
  if (!("value" in entry) || entry.value?.kind !== "file") return undefined;
  const { file } = entry.value;
  return file.index === undefined ? resolve(application, file) : undefined;
}

/** A part of a file that holds other values too. */
export type FilePart = FileReference & { readonly index: number; readonly length: number };

/** Without an index or a length the part is unknown. */
export function isPart(file: FileReference): file is FilePart {
  return file.index !== undefined && file.length !== undefined;
}

/** Whether two parts of one file overlap. */
export function overlap(one: FilePart, other: FilePart): boolean {
  return one.index < other.index + other.length && other.index < one.index + one.length;
}

/** Joins two adjacent parts of one file. */
export function joined(one: FilePart, other: FilePart): FilePart | undefined {
  if (!equalBytes(one.path, other.path)) return undefined;
  if (one.index + one.length !== other.index && other.index + other.length !== one.index) return undefined;
  return { path: one.path, index: Math.min(one.index, other.index), length: one.length + other.length };
}
