import { type Command, Option } from "commander";
import { action } from "../context.ts";
import { namedObject, requireObject } from "../input/data-object.ts";
import { examples } from "../input/options.ts";
import { chooseToken } from "../input/token.ts";
import { deliver, encode, type Encoding, ENCODINGS } from "../output/encoding.ts";
import type { Environment } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

interface ReadOptions {
  readonly encoding?: Encoding;
  readonly output?: string;
}

export function addObjectRead(object: Command, environment: Environment): void {
  const command = object
    .command("read")
    .summary("read a data object")
    .description(
      "Read a data object of a card. Of a PIV card's the outer tag 53 is left out. The PIN is asked for where only its owner sees the object.",
    )
    .argument("<name>", "on a PIV card its name, such as chuid; else its CKA_LABEL")
    .addOption(new Option("--encoding <encoding>", "encoding of the result").choices(ENCODINGS))
    .option("--output <file>", "write it there")
    .addHelpText(
      "after",
      examples(
        ["cryptoki object read chuid --encoding hex", "of a PIV card"],
        ["cryptoki object read printed-information --output printed.bin", "with the PIN"],
        ["cryptoki object read Notes --output notes.txt", "of another card, by its label"],
      ),
    );
  action<ReadOptions, [string]>(command, environment, async (context, options, name) => {
    const token = await chooseToken(context);
    const named = namedObject(token, name);
    const session = await TokenSession.open(context, token);
    const { handle, label } = await requireObject(session, named);
    const value = await session.value(handle);
    const { print } = context;
    if (!print.json || options.output !== undefined) await deliver(value, options.encoding, options.output, context);
    if (print.json) {
      print.document({ name: named.word, label, length: value.length, value: encode(value, "base64") });
    }
  });
}
