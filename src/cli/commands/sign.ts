import { type Command, Option } from "commander";
import { toHex } from "../../bytes/index.ts";
import { formatUri, isUri, objectUri } from "../../cryptoki/index.ts";
import type { HashName } from "../../crypto/index.ts";
import { action } from "../context.ts";
import { deliver, encode, ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { Message } from "../input/message.ts";
import { examples } from "../input/options.ts";
import {
  formatSignature,
  hashedInput,
  type HashedInput,
  HASHES,
  hostHash,
  type SignatureFormat,
  signatureMechanism,
  type SignatureScheme,
  signatureScheme,
  signingKeyOf,
  type SigningShape,
} from "../input/signature.ts";
import {
  choosePrivateKey,
  KEYS_FIRST,
  openSessionFor,
  readSelection,
  type SelectionOptions,
  USE,
} from "../input/selection.ts";
import { uriAndFile } from "../input/token.ts";
import { UsageError } from "../output/failures.ts";
import { ONLY_AS, refuseOptions, type SignAsOptions, signAsOptions } from "../formats/options.ts";
import type { ObjectEntry } from "../session.ts";

interface SignOptions extends SelectionOptions, SignAsOptions {
  readonly mechanism?: string;
  readonly hash?: HashName;
  readonly format?: SignatureFormat;
  readonly encoding?: Encoding;
  readonly output?: string;
}

export function addSign(program: Command, environment: Environment): void {
  const command = program
    .command("sign")
    .summary("sign a file with a key on a card")
    .description(
      "Sign a file, or standard input, with a private key on a card. RSA keys sign with PKCS #1 v1.5 and SHA-256, EC keys " +
        "with ECDSA and the hash of the curve's length; --mechanism and --hash choose others. Without --id, --label or a URI the command uses the only key that can sign. " +
        "With --as it makes a signed document, such as a CMS message or a PDF; of several files each becomes one, beside it or in the folder of --output, and the PIN is asked for once.",
    )
    .argument("[uri]", "a PKCS #11 URI that describes the token, the key, or both")
    .argument("[file...]", "the file to sign, with --as also several; default: standard input (also -)")
    .option("--id <hex>", "the key's CKA_ID")
    .option("--label <text>", "the CKA_LABEL of the key, its public key or its certificate")
    .option("--mechanism <name>", "such as SHA256_RSA_PKCS, SHA384_RSA_PKCS_PSS, ECDSA_SHA256, RSA_PKCS, ECDSA")
    .addOption(
      new Option("--hash <name>", "the hash; without --mechanism, for the default mechanism of the key").choices(
        HASHES,
      ),
    )
    .addOption(
      new Option(
        "--format <format>",
        "format of ECDSA signatures: der, for most programs, or raw, as in PKCS #11; default: der",
      ).choices(["der", "raw"]),
    )
    .addOption(new Option("--encoding <encoding>", "encoding of the signature").choices(ENCODINGS))
    .option("--output <file>", "write the signature to this file");
  signAsOptions(command).addHelpText(
    "after",
    examples(
      ["cryptoki sign --id 01 letter.txt --output letter.sig", "sign a file"],
      ["cryptoki sign --id 02 --mechanism ECDSA_SHA384 --encoding base64 < letter.txt", "to standard output, as text"],
      ["cryptoki sign 'pkcs11:model=PIV;object=SIGN%20key' letter.txt", "a key by its URI"],
      ["cryptoki sign --id 01 --pin-source file:pin.txt --json letter.txt", "without a prompt, for a program"],
      ["cryptoki sign --id 01 --as pdf --output signed.pdf contract.pdf", "a signed PDF"],
      ["cryptoki sign --id 01 --as cades --timestamp http://tsa.example.org letters/*.txt", "many files, one PIN"],
    ),
  );
  action<SignOptions, [string | undefined, readonly string[]]>(
    command,
    environment,
    async (context, options, first, more) => {
      const { as } = options;
      if (as !== undefined) {
        const { signAs } = await import("../formats/sign-as.ts");
        const words = first === undefined ? [] : [first, ...more];
        const uri = first !== undefined && isUri(first) ? words.shift() : undefined;
        await signAs(context, as, options, uri, words);
        return;
      }
      refuseOptions(options, ONLY_AS, "is for signed documents: name their format with --as");
      const [second, third] = more;
      if (third !== undefined) throw new UsageError("several files are signed with --as only, which names the format");
      const { uri, file } = uriAndFile(first, second);
      const selection = readSelection(options, uri);
      const message = await Message.open(context, file);
      const session = await openSessionFor(context, selection, uri, KEYS_FIRST);
      const offered = await session.mechanisms();
      const check = async (candidate: ObjectEntry): Promise<[SigningShape, SignatureScheme]> => {
        const publicKey = await signingKeyOf(session, candidate);
        if (options.format !== undefined && publicKey.type !== "ec")
          throw new UsageError("--format is for ECDSA signatures; this key makes none");
        return [publicKey, signatureScheme(publicKey, options, offered)];
      };
      const key = await choosePrivateKey(session, selection, USE.sign, check);
      const [publicKey, scheme] = await check(key);
      const { mechanism, data } = await signedInput(message, scheme, offered);
      const raw = await session.sign(key, mechanism, data);
      const signature = formatSignature(raw, publicKey, options.format ?? "der");
      if (!context.print.json) {
        await deliver(signature, options.encoding, options.output, context);
        return;
      }
      if (options.output !== undefined && options.output !== "-")
        await deliver(signature, options.encoding, options.output, context);
      context.print.document({
        signature: encode(signature, options.encoding === "hex" ? "hex" : "base64"),
        mechanism: `CKM_${scheme.name}`,
        ...(publicKey.type === "ec" && { format: options.format ?? "der" }),
        key: { id: toHex(key.id), label: key.label, uri: formatUri(objectUri(await session.tokenInfo(), key)) },
      });
    },
  );
}

/** What is signed of the message: of a long one its digest, wherever the scheme and the card allow it. */
async function signedInput(
  message: Message,
  scheme: SignatureScheme,
  offered: readonly number[],
): Promise<HashedInput> {
  const hash = message.short ? undefined : hostHash(scheme, offered);
  if (hash !== undefined) return hashedInput(scheme, hash, await message.digest(hash));
  const data = await message.whole();
  return { mechanism: signatureMechanism(scheme, data.length), data };
}
