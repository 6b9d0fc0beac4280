import type { Command } from "commander";
import { action } from "../context.ts";
import { openKeySession } from "../input/certificate-signer.ts";
import { readCertificates, tellWritten, writeCertificate, type WritingOptions } from "../input/certificate-writing.ts";
import { confirmationOption } from "../input/confirmation.ts";
import { LIMIT, readInput } from "../input/files.ts";
import { type KeyPlaceOptions, keyPlaceOptions } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { uriAndFile } from "../input/token.ts";
import type { Environment } from "../output/printer.ts";
import { officerOption } from "../session.ts";

export function addCertificateImport(certificate: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      keyPlaceOptions(
        certificate
          .command("import")
          .summary("write a certificate beside its key")
          .description(
            "Write a certificate beside its key. The certificate must belong to the key that the card shows there. Of a chain, in any order, " +
              "the key's own certificate is written there; the others only on a card that has places for them, which a PIV card does not.",
          )
          .argument("[uri]", "a PKCS #11 URI of the token")
          .argument("[file]", "one certificate in DER, or one or more in PEM; default: standard input"),
        "the key",
      )
        .option("--label <text>", "the CKA_LABEL; a PIV card has no place for one")
        .option(
          "--unchecked",
          "write it although the card shows another key there, as a PIV card does that shows an old certificate's",
        ),
    ),
  ).addHelpText(
    "after",
    examples([
      "cryptoki certificate import --so --reference 9a certificate.pem",
      "on a PIV card, with the management key",
    ]),
  );
  action<KeyPlaceOptions & WritingOptions, [string | undefined, string | undefined]>(
    command,
    environment,
    async (context, options, ...two) => {
      const { uri, file } = uriAndFile(...two);
      const bytes = await readInput(file, context.environment, LIMIT.KEY);
      const chain = readCertificates(file ?? "standard input", bytes);
      const { session, id } = await openKeySession(context, options, uri);
      tellWritten(session, await writeCertificate(session, id, chain, options));
    },
  );
}
