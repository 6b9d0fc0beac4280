import { type Command, Option } from "commander";
import { type HashName, keyName, parsePublicKey } from "../../crypto/index.ts";
import { action, type CommandContext } from "../context.ts";
import { decode, ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { VerificationFailedError, UsageError } from "../output/failures.ts";
import type { PublicKey as TokenPublicKey } from "../../tokens/index.ts";
import { refuseOptions, type VerifyAsOptions, verifyAsOptions } from "../formats/options.ts";
import { LIMIT, readPublicKey, readWhole } from "../input/files.ts";
import { Message } from "../input/message.ts";
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

interface VerifyOptions extends SelectionOptions, VerifyAsOptions {
  readonly signature?: string;
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
        "key in a file. This machine computes it; no PIN is needed. Exit code 0: the signature is valid; 1: it is not. " +
        "With --as it verifies a signed document, whose certificates it shows; --trust says which authorities to trust.",
    )
    .argument("[uri]", "a PKCS #11 URI that describes the token, the key, or both")
    .argument("[file]", "the signed file; default: standard input (also -)")
    .option("--signature <file>", "the signature; with --as: one that stands beside its file")
    .option("--key <file>", "a certificate or public key, PEM or DER, in place of one on a card")
    .option("--id <hex>", "the key's CKA_ID")
    .option("--label <text>", "the CKA_LABEL of the public key, its private key or its certificate")
    .option("--mechanism <name>", "as for sign")
    .addOption(new Option("--hash <name>", "as for sign").choices(HASHES))
    .addOption(
      new Option("--format <format>", "format of an ECDSA signature; default: detected").choices(["der", "raw"]),
    )
    .addOption(new Option("--encoding <encoding>", "encoding of the signature").choices(ENCODINGS).default("binary"));
  verifyAsOptions(command).addHelpText(
    "after",
    examples(
      ["cryptoki verify --id 01 letter.txt --signature letter.sig", "with the public key on the card"],
      ["cryptoki verify --key signer.pem letter.txt --signature letter.sig", "with a certificate, without a card"],
      ["cryptoki verify --id 01 letter.txt --signature letter.sig --hash sha512 && echo good", "in a script"],
      ["cryptoki verify --as cms letter.txt --signature letter.txt.p7s --trust ca.pem", "a CMS message"],
    ),
  );
  action<VerifyOptions, [string | undefined, string | undefined]>(
    command,
    environment,
    async (context, options, ...two) => {
      const { uri, file } = uriAndFile(...two);
      if (options.as !== undefined) {
        const [{ verifyAs }, { PublicKey }] = await Promise.all([
          import("../formats/verify-as.ts"),
          import("../../tokens/index.ts"),
        ]);
        const publicKey = async (): Promise<TokenPublicKey> => PublicKey.of(await findKey(context, options, uri));
        await verifyAs(context, options.as, options, file, publicKey);
        return;
      }
      refuseOptions(options, ["trust", "output"], "is for signed documents: name their format with --as");
      const { signature: path, encoding } = options;
      if (path === undefined) throw new UsageError("name the file with the signature: --signature");
      const message = await Message.open(context, file);
      const bytes = decode(await readWhole(path, context.signal, LIMIT.KEY), encoding, path);
      const key = await findKey(context, options, uri);
      if (options.format !== undefined && key.type !== "ec")
        throw new UsageError("--format is for ECDSA signatures; this key makes none");
      const scheme = signatureScheme(key, options);
      const hashed = scheme.hash === undefined ? await message.whole() : await message.digest(scheme.hash);
      const signature = readSignature(bytes, key, options.format);
      const valid = signature !== undefined && (await verifySignature(scheme, key, hashed, signature));
      const { print } = context;
      if (print.json) print.document({ valid, mechanism: `CKM_${scheme.name}`, key: keyName(key) });
      else if (valid) print.line(`${print.colours.green("Valid")}: ${scheme.name} with ${keyName(key)}`);
      if (!valid)
        throw new VerificationFailedError(`the signature is not valid for this data and key${hint(bytes, options)}`);
    },
  );
}

/** What may have been meant by a signature that does not verify. */
function hint(bytes: Uint8Array, { encoding, hash, mechanism }: VerifyOptions): string {
  const text = encoding === "binary" ? Buffer.from(bytes).toString("latin1").replace(/\s/gu, "") : "";
  if (/^(?:[0-9a-f]{2}){32,}$/iu.test(text)) return "; its file holds hexadecimal digits: try --encoding hex";
  if (/^[A-Za-z0-9+/]{40,}={0,2}$/u.test(text)) return "; its file holds base64: try --encoding base64";
  const named = [
    hash === undefined ? undefined : `--hash ${hash}`,
    mechanism === undefined ? undefined : `--mechanism ${mechanism}`,
  ];
  const given = named.filter((one) => one !== undefined).join(" and ");
  return given === ""
    ? "; if it was made with another hash or mechanism, name it with --hash or --mechanism"
    : `; or it was not made with ${given}`;
}

async function findKey(context: CommandContext, options: VerifyOptions, uri?: string): Promise<SigningKey> {
  if (options.key === undefined) {
    const selection = readSelection(options, uri);
    const session = await openSessionFor(context, selection, uri, [["public"]]);
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
