import { DataError, fromHex, fromUtf8, toHex, tryParse } from "../../bytes/index.ts";
import type { CommandContext } from "../context.ts";
import { FOR, writeWhole } from "../input/files.ts";
import { FileError, UsageError } from "./failures.ts";
import { visible } from "./printer.ts";

/** Encodings of bytes in files and on the terminal. */
export const ENCODINGS = ["binary", "base64", "hex"] as const;
export type Encoding = (typeof ENCODINGS)[number];

/**
 * Writes a result to the file `output`, or to standard output. The default encoding is binary; on a terminal base64, or
 * the text itself for one that `mayBeText`. Binary data is never written to a terminal.
 * @throws {UsageError} if that is asked for.
 */
export async function deliver(
  bytes: Uint8Array,
  encoding: Encoding | undefined,
  output: string | undefined,
  { print, environment, signal }: CommandContext,
  options: { readonly mode?: number; readonly mayBeText?: boolean } = {},
): Promise<void> {
  const { mode = FOR.ALL, mayBeText = false } = options;
  const toFile = output !== undefined && output !== "-";
  const onTerminal = !toFile && environment.stdout.isTTY === true;
  if (onTerminal && mayBeText && encoding === undefined && isText(bytes)) {
    await print.bytes(bytes);
    return;
  }
  const chosen = encoding ?? (onTerminal ? "base64" : "binary");
  if (onTerminal && chosen === "binary") throw binaryOnTerminal();
  if (toFile) await writeWhole(output, chosen === "binary" ? bytes : `${encode(bytes, chosen)}\n`, { mode, signal });
  else if (chosen === "binary") await print.bytes(bytes);
  else print.line(encode(bytes, chosen));
}

/** Why bytes are not written to a terminal: they could control it. */
export const binaryOnTerminal = (): UsageError =>
  new UsageError("binary data is not written to a terminal; use --output, a pipe or another encoding");

/** Whether bytes are UTF-8 text that does not control a terminal. */
export function isText(bytes: Uint8Array): boolean {
  const text = tryParse(() => fromUtf8(bytes).replace(/[\n\t]/gu, ""));
  return text !== undefined && visible(text) === text;
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
