import type { Command } from "commander";
import { toHex, wipe } from "../../bytes/index.ts";
import { action } from "../context.ts";
import { administeredToken, logInOfficer, requireMethod, requirePrivateKey } from "../input/card-administration.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, referenceOf, requiredPlace } from "../input/key-place.ts";
import { readPin, PIN, secret } from "../input/pin.ts";
import { examples } from "../input/options.ts";
import { type Environment, visible } from "../output/printer.ts";
import { officerOption, type OfficerOptions } from "../session.ts";

export function addKeyDelete(key: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      keyPlaceOptions(
        key
          .command("delete")
          .summary("delete a key from a card")
          .description(
            "Delete a private key from a card; this cannot be undone. A YubiKey does it from firmware 5.7 on, with the management key: --so. " +
              "Its certificate stays: delete it with certificate delete.",
          )
          .argument("[uri]", "a PKCS #11 URI of the token"),
        "the key",
      ),
    ),
  ).addHelpText("after", examples(["cryptoki key delete --so --reference 82", "a key that is needed no more"]));
  action<KeyPlaceOptions & OfficerOptions & ConfirmationOptions, [string | undefined]>(
    command,
    environment,
    async (context, options, uri) => {
      const { token, run } = await administeredToken(context, uri);
      const id = requiredPlace(token, options);
      const name = placeName(token, id);
      await run(async (cardToken) => {
        const destroy = requireMethod(cardToken, "destroyObject", "delete keys");
        const found = await requirePrivateKey(token, cardToken, id);
        await confirm(context, `the key in ${name} is destroyed for ever`, options);
        if (options.so ?? cardToken.changedBy !== "user") await logInOfficer(context, token, cardToken, options);
        else {
          const pin = await readPin(
            secret(PIN, `PIN of ${visible(token.label)}`, context.options.pinSource),
            context.environment,
          );
          await cardToken.login("user", pin, { signal: context.signal }).finally(() => {
            wipe(pin);
          });
        }
        await destroy(found, { signal: context.signal });
      });
      context.print.done(`Deleted: the key in ${name}.`, {
        deleted: true,
        id: toHex(id),
        reference: referenceOf(token, id),
      });
    },
  );
}
