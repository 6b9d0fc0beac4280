import type { Command } from "commander";
import { action } from "../context.ts";
import { readCertificates } from "../input/certificate-writing.ts";
import { LIMIT, readWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { onSetupCard } from "../input/setup-card.ts";
import { isSignedBy } from "../input/setup-files.ts";
import { chooseReader } from "../input/token.ts";
import { VerificationFailedError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";

interface VerifyOptions {
  readonly ca?: string;
  readonly card?: true;
  readonly digest?: string;
  readonly signer?: string;
}

export function addCardVerify(card: Command, environment: Environment): void {
  const command = card
    .command("verify")
    .summary("check a transcript of card setup")
    .description(
      "Check that a transcript of card setup was not changed, and that its attestations, certificates and requests are of its keys and its " +
        "device. Without --digest and --signer, a transcript that was written anew as a whole is not found. No card is needed; with --card the one in the reader is compared with it, without a PIN.",
    )
    .argument("<transcript>", "the transcript, a file")
    .option(
      "--card",
      "compare it with the card in the reader: serial number, keys, and certificates that they signed themselves",
    )
    .option("--ca <file>", "certificates of the maker, PEM or DER: every attestation must end at one of them")
    .option("--digest <hex>", "the SHA-256 that card setup printed")
    .option("--signer <file>", "the public key, or the certificate, of the key that signs your transcripts")
    .addHelpText(
      "after",
      examples([
        "cryptoki card verify 7654321.transcript.json --ca yubico-piv-ca.pem --signer operator.pem",
        "all that can be checked",
      ]),
    );
  action<VerifyOptions, [string]>(command, environment, async (context, options, file) => {
    const { print, signal } = context;
    const { compareWithCard, Transcript, TranscriptError, verifyTranscript } = await import("../../setup/index.ts");
    const { AttestationError } = await import("../../piv/index.ts");
    const { ca, digest, signer } = options;
    const roots = ca === undefined ? [] : readCertificates(ca, await readWhole(ca, signal, LIMIT.KEY));
    try {
      const transcript = Transcript.parse(await readWhole(file, signal, LIMIT.TEXT));
      if (signer !== undefined && !(await isSignedBy(transcript, signer, signal))) {
        throw new TranscriptError(`the transcript is not signed by the key in ${signer}`);
      }
      const verified = await verifyTranscript(transcript, { roots, digest });
      const differences = options.card
        ? await onSetupCard(context, await chooseReader(context), (card) => compareWithCard(transcript, card))
        : [];
      if (differences.length > 0)
        throw new TranscriptError(`the card is not as its setup left it: ${differences.join("; ")}`);
      const proof = signer !== undefined || digest !== undefined;
      if (print.json) {
        print.document({
          ...verified,
          ...(options.card && { card: "as its setup left it" }),
          signer: signer === undefined ? "not checked" : "checked",
          unchanged: proof,
        });
        return;
      }
      print.pairs([
        ["card", verified.serial],
        ["finished", verified.isComplete ? "yes" : "no: the same card setup goes on"],
        ["SHA-256", verified.digest],
        ...(options.card ? ([["in the reader", "as its setup left it"]] as const) : []),
      ]);
      print.table(
        ["KEY", "TYPE", "ATTESTED", "CERTIFICATE"],
        verified.keys.map(({ place, type, attested, certificate }) => [place, type, attested, certificate]),
      );
      const end = proof
        ? "and is the one that was written"
        : "whether it was written anew as a whole was not checked: --digest, --signer";
      context.remark.done(`The transcript belongs together; ${end}.`, {});
    } catch (cause) {
      if (!(cause instanceof TranscriptError || cause instanceof AttestationError)) throw cause;
      throw new VerificationFailedError(cause.message, { cause });
    }
  });
}
