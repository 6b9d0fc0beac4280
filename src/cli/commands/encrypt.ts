import { type Command, Option } from "commander";
import { action } from "../context.ts";
import { ENCRYPTED_FORMATS, type EncryptedFormat } from "../formats/options.ts";
import { examples, refuseCardOptions } from "../input/options.ts";
import { ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";

interface EncryptOptions {
  readonly as: EncryptedFormat;
  readonly certificate: readonly string[];
  readonly encoding?: Encoding;
  readonly output?: string;
}

export function addEncrypt(program: Command, environment: Environment): void {
  const command = program
    .command("encrypt")
    .summary("encrypt a file for the holder of a certificate")
    .description(
      "Encrypt a file, or standard input, for the holder of a certificate, as a CMS message or a JWE. This machine computes it; no card is " +
        "needed. The holder's card decrypts it: cryptoki decrypt --as.",
    )
    .argument("[file]", "the file; default: standard input (also -)")
    .addOption(
      new Option("--as <format>", "the format of the message").choices(ENCRYPTED_FORMATS).makeOptionMandatory(),
    )
    .requiredOption(
      "--certificate <file>",
      "the recipient's certificate, PEM or DER; with --as cms it may be repeated",
      (file: string, before: readonly string[] | undefined): readonly string[] => [...(before ?? []), file],
    )
    .addOption(new Option("--encoding <encoding>", "encoding of the message").choices(ENCODINGS))
    .option("--output <file>", "write the message to this file")
    .addHelpText(
      "after",
      examples(
        ["cryptoki encrypt --as cms --certificate ada.pem letter.txt --output letter.p7m", "a CMS message"],
        ["cryptoki encrypt --as jwe --certificate ada.pem < letter.txt", "a JWE, to standard output"],
      ),
    );
  action<EncryptOptions, [string | undefined]>(command, environment, async (context, options, file) => {
    refuseCardOptions(context.options);
    const { encryptAs } = await import("../formats/encrypt-as.ts");
    await encryptAs(context, options.as, options, file);
  });
}
