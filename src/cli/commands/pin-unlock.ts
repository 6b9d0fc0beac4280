import type { Command } from "commander";
import { wipe } from "../../bytes/index.ts";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";
import { NEW_PIN, type NewPinOptions, newPinOption, PUK, secret } from "../new-pin.ts";
import { visible } from "../output.ts";
import { readNewPin, readPin } from "../pin.ts";
import { READ_WRITE, TokenSession } from "../session.ts";
import { chooseToken } from "../token.ts";

interface UnlockOptions extends NewPinOptions {
  readonly pukSource?: string;
}

export function addPinUnlock(pin: Command, environment: Environment): void {
  const command = newPinOption(
    pin
      .command("unlock")
      .summary("unblock a PIN with its PUK")
      .description(
        "Set a new PIN with the PUK of a token. The PIN has all its tries again. A wrong PUK spends one of the PUK's own tries.",
      )
      .argument("[uri]", "a PKCS #11 URI of the token")
      .option(
        "--puk-source <source>",
        `where the PUK comes from, as --pin-source; default: ${PUK.variable}, or a prompt`,
      ),
  ).addHelpText("after", examples(["cryptoki pin unlock", "asks for the PUK, and twice for the new PIN"]));
  action<UnlockOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const session = await TokenSession.open(context, token, uri, READ_WRITE);
    const name = visible(token.label);
    const puk = await readPin(secret(PUK, `PUK of ${name}`, options.pukSource), context.environment);
    try {
      const newPin = await readNewPin(secret(NEW_PIN, `New PIN of ${name}`, options.newPinSource), context.environment);
      try {
        await session.cryptoki.C_UnlockPIN(session.handle, puk, newPin);
      } finally {
        wipe(newPin);
      }
    } finally {
      wipe(puk);
    }
    context.print.done(`The PIN of ${name} is unblocked.`, { token: token.label, unlocked: true });
  });
}
