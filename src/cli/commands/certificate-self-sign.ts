import type { Command } from "commander";
import { makeSelfSigned } from "../../certificates/index.ts";
import { action } from "../context.ts";
import { endLogin, openKeySession, orCryptokiError } from "../input/certificate-signer.ts";
import { contentsOptions, type ContentsOptions, readContents } from "../input/certificate-contents.ts";
import { tellWritten, writeCertificate, type WritingOptions } from "../input/certificate-writing.ts";
import { confirmationOption } from "../input/confirmation.ts";
import { type KeyPlaceOptions, keyPlaceOptions } from "../input/key-place.ts";
import { examples } from "../input/options.ts";
import { givenKeySigner, unshownKeyOption, type UnshownKeyOptions } from "../input/unshown-key.ts";
import { UsageError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { officerOption } from "../session.ts";

interface SelfSignOptions extends KeyPlaceOptions, ContentsOptions, WritingOptions, UnshownKeyOptions {
  readonly days: number;
}

const DAY = 86_400_000;
/** The year 9999 is the last that a certificate can name (RFC 5280 section 4.1.2.5). */
const MAX_DAYS = 36_525;

export function addCertificateSelfSign(certificate: Command, environment: Environment): void {
  const command = confirmationOption(
    officerOption(
      unshownKeyOption(
        contentsOptions(
          keyPlaceOptions(
            certificate
              .command("self-sign")
              .summary("make a self-signed certificate, and write it on the card")
              .description(
                "Make a certificate for a key that the key itself signs, and write it on the card. On a PIV card the PIN is asked for, and the " +
                  "management key: --so.",
              )
              .argument("[uri]", "a PKCS #11 URI of the token"),
            "the key",
          ),
        ),
      )
        .option("--days <number>", "valid from today for this many days", readDays, 365)
        .option("--label <text>", "the CKA_LABEL; a PIV card has no place for one"),
    ),
  ).addHelpText(
    "after",
    examples([
      'cryptoki certificate self-sign --so --reference 9a --subject "CN=Ada Lovelace" --days 730',
      "on a PIV card",
    ]),
  );
  action<SelfSignOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { library, name, extensions } = await readContents(options);
    const { session, id } = await openKeySession(context, options, uri);
    const notBefore = new Date(Math.floor(Date.now() / 1000) * 1000);
    const notAfter = new Date(notBefore.getTime() + options.days * DAY);
    const signer = await givenKeySigner(session, id, options);
    const contents = { name, extensions, notBefore, notAfter };
    const der = await orCryptokiError(makeSelfSigned(library, signer, contents));
    await endLogin(session);
    tellWritten(
      session,
      await writeCertificate(session, id, [der], { ...options, ...(signer.spki && { otherKeys: [signer.spki] }) }),
    );
  });
}

function readDays(text: string): number {
  const days = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (days < 1 || days > MAX_DAYS) throw new UsageError(`--days is a whole number from 1 to ${MAX_DAYS}`);
  return days;
}
