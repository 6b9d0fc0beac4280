import { type Command, Option } from "commander";
import { wipe } from "../../bytes/index.ts";
import { keyName, parsePublicKey } from "../../crypto/index.ts";
import { action } from "../context.ts";
import { deliver, encode, ENCODINGS, type Encoding } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { FileError } from "../output/failures.ts";
import { FOR, readPublicKey, writeWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { agreementMechanism } from "../input/signature.ts";
import {
  choosePrivateKey,
  KEYS_FIRST,
  openSessionFor,
  readSelection,
  type SelectionOptions,
  USE,
} from "../input/selection.ts";

interface DeriveOptions extends SelectionOptions {
  readonly peer: string;
  readonly encoding?: Encoding;
  readonly output?: string;
}

export function addDerive(program: Command, environment: Environment): void {
  const command = program
    .command("derive")
    .summary("agree on a secret with an EC key on a card (ECDH)")
    .description(
      "Compute the secret that an EC key on a card shares with another party's public key: ECDH, the x coordinate of the " +
        "shared point, without a key derivation function.",
    )
    .argument("[uri]", "a PKCS #11 URI that describes the token, the key, or both")
    .requiredOption("--peer <file>", "the other party's certificate or public key, PEM or DER")
    .option("--id <hex>", "the key's CKA_ID")
    .option("--label <text>", "the CKA_LABEL of the key, its public key or its certificate")
    .addOption(new Option("--encoding <encoding>", "encoding of the secret").choices(ENCODINGS))
    .option("--output <file>", "write the secret to this file; a new file is readable by its owner only")
    .addHelpText(
      "after",
      examples(
        ["cryptoki derive --id 03 --peer friend.pem --output secret.bin", "into a file"],
        ["cryptoki derive --id 03 --peer friend.pem --encoding hex", "as text"],
      ),
    );
  action<DeriveOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const selection = readSelection(options, uri);
    const peer = parsePublicKey(
      (await readPublicKey(options.peer, context.signal)).export({ format: "der", type: "spki" }),
    );
    if (peer.type !== "ec" && peer.type !== "montgomery") {
      throw new FileError(`${options.peer} holds a key of another type (${keyName(peer)}); derive needs an EC key`);
    }
    context.keepPin();
    const session = await openSessionFor(context, selection, uri, KEYS_FIRST);
    const key = await choosePrivateKey(session, selection, USE.derive);
    const own = await session.publicKey(key);
    if (own.type !== peer.type || own.curve !== peer.curve) {
      throw new FileError(`${options.peer} is on ${peer.curve}, but the key on the card is ${keyName(own)}`);
    }
    const secret = await session.derive(key, agreementMechanism(peer.point));
    try {
      if (!context.print.json) await deliver(secret, options.encoding, options.output, context, { mode: FOR.USER });
      else if (options.output === undefined) context.print.document({ secret: encode(secret, "base64") });
      else {
        await writeWhole(options.output, secret, { mode: FOR.USER, signal: context.signal });
        context.print.document({ output: options.output });
      }
    } finally {
      wipe(secret);
    }
  });
}
