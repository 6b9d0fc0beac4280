import { MalformedAnswerError } from "../../apdu/index.ts";
import type { CardFiles, FileContents, ReadOptions } from "./files.ts";
import { type FilePlace, resolve } from "./place.ts";
import type { FileReference } from "../syntax/path.ts";

/** How a value is read, wherever it is. */
export type ValueOptions = Pick<ReadOptions, "enough" | "guarded">;

/**
 * The part of a file that a reference of a directory names, as far as the file goes.
 * @param df The application's.
 * @param report Hears of a file that ends before the part does.
 * @throws {MalformedAnswerError} if it ends before the part begins; {StatusError} if the card refuses.
 */
export async function readReference(
  files: CardFiles,
  df: FilePlace,
  file: FileReference,
  options: ValueOptions,
  report: (problem: string) => void,
): Promise<Uint8Array> {
  const { index = 0, length } = file;
  const { bytes, control } = await readPart(files, df, file, options);
  // Of a file of records it is the number of one.
  if (control.structure === "records" || options.enough?.(bytes) === true) return bytes;
  if (bytes.length === 0 && index > 0) throw new MalformedAnswerError(`the file ends before byte ${index}`);
  if (length !== undefined && length > bytes.length)
    report(`${length} bytes at ${index}: the file has ${bytes.length}`);
  return bytes;
}

async function readPart(
  files: CardFiles,
  df: FilePlace,
  { path, index, length }: FileReference,
  options: ValueOptions,
): Promise<FileContents> {
  const [shortId = 0] = path;
  if (path.length === 1) {
    const { bytes, control } = await files.readShort(df, shortId);
    const from = index ?? 0;
    return { bytes: bytes.subarray(from, length === undefined ? undefined : from + length), control };
  }
  const part = { ...(index !== undefined && { offset: index }), ...(length !== undefined && { length }) };
  return files.read(resolve(df, { path }), { ...part, ...options });
}

/** Whether {@link readReference} costs no exchange. */
export async function isReferenceAtHand(
  files: CardFiles,
  df: FilePlace,
  { path, index, length }: FileReference,
): Promise<boolean> {
  const [shortId = 0] = path;
  if (path.length === 1) return files.isShortAtHand(df, shortId);
  return files.isAtHand(resolve(df, { path }), index, length);
}
