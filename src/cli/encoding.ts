import { toHex } from "../bytes/index.ts";
import type { CommandContext } from "./context.ts";
import { writeWhole } from "./files.ts";

/** How bytes are written for the user. */
export type Encoding = "raw" | "hex" | "base64";

/**
 * Gives a result to the user: into `output` if that is named; as it is into a pipe or file; as text on a terminal, which
 * raw bytes would upset.
 */
export async function deliver(
  bytes: Uint8Array,
  encoding: Encoding | undefined,
  output: string | undefined,
  { print, environment }: CommandContext,
): Promise<void> {
  const format = encoding ?? (output === undefined && environment.stdout.isTTY === true ? "base64" : "raw");
  const encoded = format === "raw" ? bytes : `${encode(bytes, format)}\n`;
  if (output !== undefined && output !== "-") await writeWhole(output, encoded);
  else if (typeof encoded === "string") print.line(encoded.trimEnd());
  else print.bytes(encoded);
}

export function encode(bytes: Uint8Array, encoding: "hex" | "base64"): string {
  return encoding === "hex" ? toHex(bytes) : Buffer.from(bytes).toString("base64");
}
