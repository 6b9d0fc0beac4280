import { type Command, Option } from "commander";
import { wipe } from "../../bytes/index.ts";
import type { HashName, PublicKey } from "../../crypto/index.ts";
import { action } from "../context.ts";
import { decode, deliver, encode, ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { UsageError } from "../output/failures.ts";
import { FOR, readInput, writeWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { canonicalName, decryptionMechanism, HASHES } from "../input/signature.ts";
import {
  choosePrivateKey,
  KEYS_FIRST,
  openSessionFor,
  readSelection,
  type SelectionOptions,
  USE,
} from "../input/selection.ts";
import { uriAndFile } from "../input/token.ts";

interface DecryptOptions extends SelectionOptions {
  readonly mechanism?: string;
  readonly hash?: HashName;
  readonly inputEncoding: Encoding;
  readonly encoding?: Encoding;
  readonly output?: string;
}

export function addDecrypt(program: Command, environment: Environment): void {
  const command = program
    .command("decrypt")
    .summary("decrypt with an RSA key on a card")
    .description(
      "Decrypt a file, or standard input, that was encrypted for an RSA key on a card: PKCS #1 v1.5, or OAEP with --hash. " +
        "With PKCS #1 v1.5 a wrong ciphertext gives random bytes, not an error: check the result.",
    )
    .argument("[uri]", "a PKCS #11 URI that describes the token, the key, or both")
    .argument("[file]", "the ciphertext; default: standard input (also -)")
    .option("--id <hex>", "the key's CKA_ID")
    .option("--label <text>", "the CKA_LABEL of the key, its public key or its certificate")
    .option("--mechanism <name>", "RSA_PKCS, or RSA_PKCS_OAEP")
    .addOption(new Option("--hash <name>", "the hash for OAEP; default: sha1").choices(HASHES))
    .addOption(
      new Option("--input-encoding <encoding>", "encoding of the ciphertext").choices(ENCODINGS).default("binary"),
    )
    .addOption(new Option("--encoding <encoding>", "encoding of the result").choices(ENCODINGS))
    .option("--output <file>", "write the result to this file; a new file is readable by its owner only")
    .addHelpText(
      "after",
      examples(
        ["cryptoki decrypt --id 03 secret.bin --output secret.txt", "PKCS #1 v1.5"],
        ["cryptoki decrypt --id 03 --hash sha256 < secret.bin", "OAEP with SHA-256"],
      ),
    );
  action<DecryptOptions, [string | undefined, string | undefined]>(
    command,
    environment,
    async (context, options, ...two) => {
      const { uri, file } = uriAndFile(...two);
      const mechanism = decryptionMechanism(oaepHash(options));
      const selection = readSelection(options, uri);
      const ciphertext = decode(
        await readInput(file, context.environment),
        options.inputEncoding,
        file ?? "standard input",
      );
      const session = await openSessionFor(context, selection, uri, KEYS_FIRST);
      const key = await choosePrivateKey(session, selection, USE.decrypt, async (candidate) => {
        requireRsaKey(await session.publicKey(candidate));
      });
      // With the public key the driver can check the result: a faulty one is an error instead of wrong plaintext.
      await session.publicKeyInfo(key.handle);
      const plaintext = await session.decrypt(key, mechanism, ciphertext);
      try {
        if (!context.print.json)
          await deliver(plaintext, options.encoding, options.output, context, { mode: FOR.USER, mayBeText: true });
        else if (options.output === undefined) context.print.document({ plaintext: encode(plaintext, "base64") });
        else {
          await writeWhole(options.output, plaintext, { mode: FOR.USER, signal: context.signal });
          context.print.document({ output: options.output });
        }
      } finally {
        wipe(plaintext);
      }
    },
  );
}

/** @throws {UsageError} if the key cannot decrypt. */
function requireRsaKey(key: PublicKey): void {
  if (key.type === "rsa") return;
  throw new UsageError(`this is a key on ${key.curve}; decrypt needs an RSA key (derive works with EC keys)`);
}

/** Undefined: PKCS #1 v1.5. */
function oaepHash({ mechanism, hash }: DecryptOptions): HashName | undefined {
  if (mechanism === undefined) return hash;
  const name = canonicalName(mechanism);
  if (name === "RSA_PKCS_OAEP") return hash ?? "sha1";
  if (name !== "RSA_PKCS") throw new UsageError(`--mechanism ${mechanism}: decrypt knows RSA_PKCS and RSA_PKCS_OAEP`);
  if (hash !== undefined)
    throw new UsageError("RSA_PKCS takes no hash; leave out --hash, or use --mechanism RSA_PKCS_OAEP");
  return undefined;
}
