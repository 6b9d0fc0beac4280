import type { Command } from "commander";
import { wipe } from "../../bytes/index.ts";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";
import { NEW_PIN, type NewPinOptions, newPinOption, secret } from "../new-pin.ts";
import { visible } from "../output.ts";
import { PIN, readNewPin, readPin } from "../pin.ts";
import { READ_WRITE, TokenSession } from "../session.ts";
import { chooseToken, readUri } from "../token.ts";

export function addPinChange(pin: Command, environment: Environment): void {
  const command = newPinOption(
    pin
      .command("change")
      .summary("give a token a new PIN")
      .description("Change the PIN of a token. A wrong old PIN spends one of its tries, and is not tried again.")
      .argument("[uri]", "a PKCS #11 URI of the token"),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki pin change", "asks for the old PIN, and twice for the new one"],
      ["cryptoki pin change 'pkcs11:token=Card%20%28signature%29'", "of one of several tokens"],
    ),
  );
  action<NewPinOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const session = await TokenSession.open(context, token, uri, READ_WRITE);
    const name = visible(token.label);
    const from = context.options.pinSource ?? (uri === undefined ? undefined : readUri(uri).pinSource);
    const oldPin = await readPin(secret(PIN, `PIN of ${name}`, from), context.environment);
    try {
      const newPin = await readNewPin(secret(NEW_PIN, `New PIN of ${name}`, options.newPinSource), context.environment);
      try {
        await session.cryptoki.C_SetPIN(session.handle, oldPin, newPin);
      } finally {
        wipe(newPin);
      }
    } finally {
      wipe(oldPin);
    }
    context.print.done(`The PIN of ${name} is changed.`, { token: token.label, changed: true });
  });
}
