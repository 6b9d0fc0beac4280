import type { Command } from "commander";
import { type KeyFile, readKeyFile } from "../../keyfiles/index.ts";
import type { CommandContext } from "../context.ts";
import { KEY_PASSWORD, readPin, secret } from "./pin.ts";

export interface KeyFileOptions {
  readonly passwordSource?: string;
}

export function keyFileOption(command: Command): Command {
  return command.option(
    "--password-source <source>",
    `where the password of an encrypted file comes from, as --pin-source; default: ${KEY_PASSWORD.variable}, or a prompt`,
  );
}

/**
 * The private key in a file, and its certificates; the password is asked for where the file wants one.
 * @param file Default: standard input, which `bytes` are of.
 * @throws {KeyFileError} if there is no key, or the password is wrong.
 */
export function openKeyFile(
  { environment }: CommandContext,
  file: string | undefined,
  bytes: Uint8Array,
  { passwordSource }: KeyFileOptions,
): Promise<KeyFile> {
  const name = file === undefined || file === "-" ? "standard input" : file;
  return readKeyFile(bytes, {
    name,
    password: () => readPin(secret(KEY_PASSWORD, `Password of ${name}`, passwordSource), environment),
  });
}
