import type { Command } from "commander";
import { wipe } from "../../bytes/index.ts";
import { CKU } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { isWellKnownKey, warn } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { readNewPin, readPin, secret } from "../input/pin.ts";
import { chooseToken } from "../input/token.ts";
import { type Environment, visible } from "../output/printer.ts";
import { NEW_SO_PIN, SO_PIN, TokenSession } from "../session.ts";

interface ChangeOptions {
  readonly soPinSource?: string;
  readonly newSoPinSource?: string;
}

export function addSo(program: Command, environment: Environment): void {
  const so = program
    .command("so")
    .summary("change the SO PIN or management key")
    .description("The security officer of a card: its SO PIN, or a PIV card's management key.");
  addSoChange(so, environment);
}

function addSoChange(so: Command, environment: Environment): void {
  const command = so
    .command("change")
    .summary("give a card another SO PIN or management key")
    .description(
      "Change the SO PIN of a card, or the management key of a YubiKey: 32, 48 or 64 hexadecimal digits (AES-128, AES-192 or, where the old " +
        "key is one, 3DES, and AES-256). Without it nothing on the card can be changed: keep it.",
    )
    .argument("[uri]", "a PKCS #11 URI of the token")
    .option(
      "--so-pin-source <source>",
      `where the old one comes from, as --pin-source; default: ${SO_PIN.variable}, or a prompt`,
    )
    .option(
      "--new-so-pin-source <source>",
      `where the new one comes from, as --pin-source; default: ${NEW_SO_PIN.variable}, or a prompt`,
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki so change", "asks for the old one, and twice for the new one"],
        ["openssl rand -hex 32 > key && cryptoki so change --new-so-pin-source file:key", "a random management key"],
      ),
    );
  action<ChangeOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const { cryptoki, handle } = await TokenSession.open(context, token, uri);
    const name = visible(token.label);
    const question = `SO PIN or management key of ${name}`;
    const old = await readPin(secret(SO_PIN, question, options.soPinSource), context.environment);
    try {
      const fresh = await readNewPin(
        secret(NEW_SO_PIN, `New ${question}`, options.newSoPinSource),
        context.environment,
      );
      try {
        await cryptoki.C_Login(handle, CKU.SO, old);
        await cryptoki.C_SetPIN(handle, old, fresh);
        if (isWellKnownKey(fresh)) warn(context, "the new management key is the one that every new card has");
      } finally {
        wipe(fresh);
      }
    } finally {
      wipe(old);
    }
    context.print.done(`The SO PIN or management key of ${name} is changed.`, { token: token.label, changed: true });
  });
}
