import type { Command } from "commander";
import { wipe } from "../bytes/index.ts";
import { CKR, CKU, CryptokiError } from "../cryptoki/index.ts";
import { PinMissingError } from "./failure.ts";
import { secret } from "./new-pin.ts";
import { visible } from "./output.ts";
import { readPin } from "./pin.ts";
import type { TokenSession } from "./session.ts";

/** How the security officer's PIN is given: the SO PIN, or the management key of a PIV card in hexadecimal. */
export const SO_PIN = { option: "--so-pin-source", variable: "CRYPTOKI_SO_PIN" } as const;

export interface OfficerOptions {
  readonly so?: true;
  readonly soPinSource?: string;
}

export function officerOption(command: Command): Command {
  return command
    .option("--so", "log in as security officer: with the SO PIN, or a PIV card's management key")
    .option(
      "--so-pin-source <source>",
      `where the SO PIN or key comes from, as --pin-source; default: ${SO_PIN.variable}, or a prompt`,
    );
}

/**
 * The handle or whatever else `write` gives.
 * @throws {PinMissingError} if only the security officer may, and the options do not say that it is the one.
 */
export async function asAllowed<T>({ so }: OfficerOptions, write: Promise<T>): Promise<T> {
  try {
    return await write;
  } catch (cause) {
    if (so || !(cause instanceof CryptokiError && cause.rv === CKR.USER_NOT_LOGGED_IN)) throw cause;
    const message =
      "only the security officer may write this on the card; use --so, which asks for the SO PIN or management key";
    throw new PinMissingError(message, { cause });
  }
}

/** Logs in the user, or the security officer if the options say so. */
export async function logIn(session: TokenSession, options: OfficerOptions): Promise<void> {
  if (!options.so) return session.login();
  const question = `SO PIN or management key of ${visible(session.token.label)}`;
  const pin = await readPin(secret(SO_PIN, question, options.soPinSource), session.context.environment);
  try {
    await session.cryptoki.C_Login(session.handle, CKU.SO, pin);
  } finally {
    wipe(pin);
  }
}
