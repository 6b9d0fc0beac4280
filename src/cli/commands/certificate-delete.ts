import type { Command } from "commander";
import { toHex } from "../../bytes/index.ts";
import { action } from "../context.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { type KeyPlaceOptions, keyPlaceOptions, placeName, referenceOf, requiredPlace } from "../input/key-place.ts";
import { warnOfKnownKey } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { shownName, summarise } from "../output/descriptions.ts";
import type { Environment } from "../output/printer.ts";
import { asAllowed, logIn, officerOption, type OfficerOptions, TokenSession } from "../session.ts";
import { requireCertificate } from "./certificate-export.ts";

export function addCertificateDelete(certificate: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      keyPlaceOptions(
        certificate
          .command("delete")
          .summary("delete the certificate of a key")
          .description(
            "Delete the certificate of a key from a card. The key stays. On a PIV card the management key is asked for: --so.",
          )
          .argument("[uri]", "a PKCS #11 URI of the token"),
        "the key",
      ),
    ),
  ).addHelpText("after", examples(["cryptoki certificate delete --so --reference 9a", "on a PIV card"]));
  action<KeyPlaceOptions & OfficerOptions & ConfirmationOptions, [string | undefined]>(
    command,
    environment,
    async (context, options, uri) => {
      const token = await chooseToken(context, uri);
      const id = requiredPlace(token, options);
      const session = await TokenSession.open(context, token, uri);
      const { handle } = await requireCertificate(session, id);
      const subject = await session.value(handle).then(
        (der) => shownName(summarise(der).subject),
        () => "an unreadable subject",
      );
      const name = placeName(token, id);
      await confirm(context, `the certificate of ${subject} in ${name} is deleted`, options);
      await logIn(session, options, (pin) => {
        warnOfKnownKey(context, pin);
      });
      await asAllowed(options, session.cryptoki.C_DestroyObject(session.handle, handle, { signal: context.signal }));
      context.print.done(`Deleted: the certificate in ${name}.`, {
        deleted: true,
        id: toHex(id),
        reference: referenceOf(token, id),
      });
    },
  );
}
