import type { Command } from "commander";
import { wipe } from "../../bytes/index.ts";
import { action } from "../context.ts";
import { administeredToken, requireMethod } from "../input/card-administration.ts";
import { isFactoryPuk, warnOfNewSecret } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { NEW_PUK, PUK, readNewPin, readPin, secret } from "../input/pin.ts";
import { type Environment, visible } from "../output/printer.ts";

interface ChangeOptions {
  readonly pukSource?: string;
  readonly newPukSource?: string;
}

export function addPuk(program: Command, environment: Environment): void {
  const puk = program
    .command("puk")
    .summary("change the PUK")
    .description("The PUK of a card, which unblocks its PIN.");
  const command = puk
    .command("change")
    .summary("give a card another PUK")
    .description("Change the PUK of a card. A wrong old PUK spends one of its tries, and is not tried again.")
    .argument("[uri]", "a PKCS #11 URI of the token")
    .option(
      "--puk-source <source>",
      `where the old PUK comes from, as --pin-source; default: ${PUK.variable}, or a prompt`,
    )
    .option(
      "--new-puk-source <source>",
      `where the new PUK comes from, as --pin-source; default: ${NEW_PUK.variable}, or a prompt`,
    )
    .addHelpText("after", examples(["cryptoki puk change", "asks for the old PUK, and twice for the new one"]));
  action<ChangeOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { token, run } = await administeredToken(context, uri);
    const name = visible(token.label);
    const old = await readPin(secret(PUK, `PUK of ${name}`, options.pukSource), context.environment);
    try {
      const fresh = await readNewPin(secret(NEW_PUK, `New PUK of ${name}`, options.newPukSource), context.environment);
      try {
        await run((cardToken) =>
          requireMethod(cardToken, "changePin", "change its PUK")("puk", old, fresh, { signal: context.signal }),
        );
        await warnOfNewSecret(context, "PUK", fresh, isFactoryPuk(fresh));
      } finally {
        wipe(fresh);
      }
    } finally {
      wipe(old);
    }
    context.print.done(`The PUK of ${name} is changed.`, { token: token.label, changed: true });
  });
}
