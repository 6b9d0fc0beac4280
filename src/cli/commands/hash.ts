import { type Command, Option } from "commander";
import type { HashName } from "../../crypto/index.ts";
import { action } from "../context.ts";
import { Message } from "../input/message.ts";
import { examples, refuseCardOptions } from "../input/options.ts";
import { HASHES } from "../input/signature.ts";
import { encode } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";

interface HashOptions {
  readonly hash: HashName;
  readonly encoding: "hex" | "base64";
}

export function addHash(program: Command, environment: Environment): void {
  const command = program
    .command("hash")
    .summary("the hash of a file")
    .description(
      "Print the hash of a file, or of standard input, of any length. This machine computes it: sign --mechanism RSA_PKCS_PSS and " +
        "ECDSA sign such a hash. No card is needed.",
    )
    .argument("[file]", "the file; default: standard input (also -)")
    .addOption(new Option("--hash <name>", "the hash").choices(HASHES).default("sha256"))
    .addOption(new Option("--encoding <encoding>", "encoding of the hash").choices(["hex", "base64"]).default("hex"))
    .addHelpText(
      "after",
      examples(
        ["cryptoki hash letter.txt", "SHA-256"],
        ["cryptoki hash --hash sha384 < letter.txt | xxd -r -p > digest", "as bytes, for sign --mechanism ECDSA"],
      ),
    );
  action<HashOptions, [string | undefined]>(command, environment, async (context, { hash, encoding }, file) => {
    refuseCardOptions(context.options);
    const message = await Message.open(context, file);
    const digest = encode(await message.digest(hash), encoding);
    if (context.print.json) context.print.document({ hash, digest });
    else context.print.line(digest);
  });
}
