import type { Command } from "commander";
import { utf8, wipe } from "../../bytes/index.ts";
import { action, type CommandContext } from "../context.ts";
import { administeredToken, logInOfficer, requireMethod } from "../input/card-administration.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { FACTORY_PIN, FACTORY_PUK, isFactoryPin, isFactoryPuk, warn, warnOfNewSecret } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { NEW_PIN, NEW_PUK, PIN, readNewPin, readPin, secret } from "../input/pin.ts";
import { UsageError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { checkNewPin, officerOption, type OfficerOptions } from "../session.ts";

interface RetriesOptions extends OfficerOptions, ConfirmationOptions {
  readonly pinTries: number;
  readonly pukTries: number;
  readonly newPinSource?: string;
  readonly newPukSource?: string;
}

export function addPinRetries(pin: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      pin
        .command("retries")
        .summary("how many wrong PINs and PUKs a YubiKey takes")
        .description(
          "Set how many tries the PIN and the PUK of a YubiKey have. The device sets both to those that every new one has, so a new PIN and a " +
            "new PUK are asked for in the same step. The PIN and the management key are asked for too.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token")
        .requiredOption("--pin-tries <number>", "tries of the PIN, 1 to 255", readTries)
        .requiredOption("--puk-tries <number>", "tries of the PUK, 1 to 255", readTries)
        .option(
          "--new-pin-source <source>",
          `where the new PIN comes from, as --pin-source; default: ${NEW_PIN.variable}, or a prompt`,
        )
        .option(
          "--new-puk-source <source>",
          `where the new PUK comes from, as --pin-source; default: ${NEW_PUK.variable}, or a prompt`,
        ),
    ),
  ).addHelpText("after", examples(["cryptoki pin retries --pin-tries 8 --puk-tries 5", "asks for all that it needs"]));
  action<RetriesOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { token, run } = await administeredToken(context, uri);
    const name = visible(token.label);
    const { environment: given, signal } = context;
    await run(async (cardToken) => {
      const setTries = requireMethod(cardToken, "setPinTries", "change how many tries its PINs have");
      const change = requireMethod(cardToken, "changePin", "change its PINs");
      await confirm(context, "the card sets PIN and PUK to those of a new card, before the new ones are set", options);
      const old = await readPin(secret(PIN, `PIN of ${name}`, context.options.pinSource), given);
      try {
        await logInOfficer(context, token, cardToken, options);
        await cardToken.login("user", old, { signal });
      } finally {
        wipe(old);
      }
      const newPin = await readNewPin(secret(NEW_PIN, `New PIN of ${name}`, options.newPinSource), given);
      const newPuk = await readNewPin(secret(NEW_PUK, `New PUK of ${name}`, options.newPukSource), given);
      try {
        checkNewPin(token, newPin);
        checkNewPin(token, newPuk, "PUK");
        await setTries({ pin: options.pinTries, puk: options.pukTries }, { signal });
        try {
          await change("user", utf8(FACTORY_PIN), newPin, { signal });
          await change("puk", utf8(FACTORY_PUK), newPuk, { signal });
        } catch (error) {
          sayFactory(context);
          throw error;
        }
        await warnOfNewSecret(context, "PIN", newPin, isFactoryPin(newPin));
        await warnOfNewSecret(context, "PUK", newPuk, isFactoryPuk(newPuk));
      } finally {
        wipe(newPin, newPuk);
      }
    });
    const { pinTries, pukTries } = options;
    context.print.done(`The PIN of ${name} has ${pinTries} tries, its PUK ${pukTries}; both are new.`, {
      token: token.label,
      pinTries,
      pukTries,
    });
  });
}

function readTries(text: string): number {
  const tries = /^\d{1,3}$/u.test(text) ? Number(text) : 0;
  if (tries < 1 || tries > 255) throw new UsageError("a number of tries is 1 to 255");
  return tries;
}

/** What the card may have after an interruption, and how to go on. */
function sayFactory(context: CommandContext): void {
  warn(
    context,
    `PIN and PUK may be those of a new card now (${FACTORY_PIN}, ${FACTORY_PUK}); see: cryptoki token info; change them with: cryptoki pin ` +
      "change, cryptoki puk change",
  );
}
