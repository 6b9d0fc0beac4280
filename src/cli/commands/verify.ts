import { type Command, Option } from "commander";
import { type HashName, keyName, parsePublicKey } from "../../crypto/index.ts";
import { action, type CommandContext } from "../context.ts";
import { decode, ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { VerificationFailedError, UsageError } from "../output/failures.ts";
import { LIMIT, readInput, readPublicKey, readWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import {
  HASHES,
  readSignature,
  requireSigningKey,
  type SignatureFormat,
  signatureScheme,
  type SigningKey,
  verifySignature,
} from "../input/signature.ts";
import { chooseObject, openSessionFor, readSelection, type SelectionOptions } from "../input/selection.ts";
import { uriAndFile } from "../input/token.ts";

interface VerifyOptions extends SelectionOptions {
  readonly signature: string;
  readonly key?: string;
  readonly mechanism?: string;
  readonly hash?: HashName;
  readonly format?: SignatureFormat;
  readonly encoding: Encoding;
}

export function addVerify(program: Command, environment: Environment): void {
  const command = program
    .command("verify")
    .summary("verify a signature")
    .description(
      "Verify the signature of a file, or of standard input, with a public key on a card, or with a certificate or public " +
        "key in a file. This machine computes it; no PIN is needed. Exit code 0: the signature is valid; 1: it is not.",
    )
    .argument("[uri]", "a PKCS #11 URI that describes the token, the key, or both")
    .argument("[file]", "the signed file; default: standard input (also -)")
    .requiredOption("--signature <file>", "the signature")
    .option("--key <file>", "a certificate or public key, PEM or DER, in place of one on a card")
    .option("--id <hex>", "the key's CKA_ID")
    .option("--label <text>", "the CKA_LABEL of the public key, its private key or its certificate")
    .option("--mechanism <name>", "as for sign")
    .addOption(new Option("--hash <name>", "as for sign").choices(HASHES))
    .addOption(
      new Option("--format <format>", "format of an ECDSA signature; default: detected").choices(["der", "raw"]),
    )
    .addOption(new Option("--encoding <encoding>", "encoding of the signature").choices(ENCODINGS).default("binary"))
    .addHelpText(
      "after",
      examples(
        ["cryptoki verify --id 01 letter.txt --signature letter.sig", "with the public key on the card"],
        ["cryptoki verify --key signer.pem letter.txt --signature letter.sig", "with a certificate, without a card"],
        ["cryptoki verify --id 01 letter.txt --signature letter.sig --hash sha512 && echo good", "in a script"],
      ),
    );
  action<VerifyOptions, [string | undefined, string | undefined]>(
    command,
    environment,
    async (context, options, ...two) => {
      const { uri, file } = uriAndFile(...two);
      const data = await readInput(file, context.environment);
      const bytes = decode(
        await readWhole(options.signature, context.signal, LIMIT.KEY),
        options.encoding,
        options.signature,
      );
      const key = await findKey(context, options, uri);
      const scheme = signatureScheme(key, options);
      const signature = readSignature(bytes, key, options.format);
      const valid = signature !== undefined && (await verifySignature(scheme, key, data, signature));
      const { print } = context;
      if (print.json) print.document({ valid, mechanism: `CKM_${scheme.name}`, key: keyName(key) });
      else if (valid) print.line(`${print.colours.green("Valid")}: ${scheme.name} with ${keyName(key)}`);
      if (!valid) throw new VerificationFailedError("the signature is not valid for this data and key");
    },
  );
}

async function findKey(context: CommandContext, options: VerifyOptions, uri?: string): Promise<SigningKey> {
  if (options.key === undefined) {
    const selection = readSelection(options, uri);
    const session = await openSessionFor(context, selection, uri);
    const object = await chooseObject(session, "public", selection);
    return requireSigningKey(await session.publicKey(object));
  }
  if (uri !== undefined || options.id !== undefined || options.label !== undefined) {
    throw new UsageError("--key names a file; leave out the URI, --id and --label, which name a key on a card");
  }
  return requireSigningKey(
    parsePublicKey((await readPublicKey(options.key, context.signal)).export({ format: "der", type: "spki" })),
  );
}
