import { DataError, fromHex, toHex } from "../../bytes/index.ts";
import type { CommandContext } from "../context.ts";
import { FOR, writeWhole } from "../input/files.ts";
import { FileError } from "./failures.ts";

/** Encodings of bytes in files and on the terminal. */
export const ENCODINGS = ["binary", "base64", "hex"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/**
 * Writes a result to the file `output`, or to standard output. The default encoding is base64 on a terminal and binary
 * otherwise.
 * @param mode Of a new file.
 */
export async function deliver(
  bytes: Uint8Array,
  encoding: Encoding | undefined,
  output: string | undefined,
  { print, environment, signal }: CommandContext,
  mode: number = FOR.ALL,
): Promise<void> {
  const toFile = output !== undefined && output !== "-";
  const chosen = encoding ?? (!toFile && environment.stdout.isTTY === true ? "base64" : "binary");
  if (toFile) await writeWhole(output, chosen === "binary" ? bytes : `${encode(bytes, chosen)}\n`, { mode, signal });
  else if (chosen === "binary") await print.bytes(bytes);
  else print.line(encode(bytes, chosen));
}

export function encode(bytes: Uint8Array, encoding: "base64" | "hex"): string {
  return encoding === "hex" ? toHex(bytes) : Buffer.from(bytes).toString("base64");
}

/** Decodes what {@link encode} wrote, with any white space. @throws {FileError} if `text` from `what` is malformed. */
export function decode(text: Uint8Array, encoding: Encoding, what: string): Uint8Array {
  if (encoding === "binary") return text;
  const characters = Buffer.from(text).toString("latin1").replace(/\s/gu, "");
  try {
    if (encoding === "hex") return fromHex(characters);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new FileError(`${what}: ${cause.message}`, { cause });
  }
  if (!/^[A-Za-z0-9+/]*={0,2}$/u.test(characters)) throw new FileError(`${what}: not base64`);
  return Buffer.from(characters, "base64");
}
