import type { Command } from "commander";
import { Concealer, explainCommand, explainResponse, type Transmit } from "../../apdu/index.ts";
import { toHex } from "../../bytes/index.ts";
import { action, type CommandContext } from "../context.ts";
import type { Environment } from "../environment.ts";
import { UsageError } from "../failure.ts";
import { LIMIT, readInput } from "../files.ts";
import { examples } from "../help.ts";
import { hexArgument } from "../hex-argument.ts";
import { chooseReader } from "../reader.ts";
import { sayStatus } from "./apdu-words.ts";

interface SendOptions {
  readonly reset?: true;
}

export function addApduSend(apdu: Command, environment: Environment): void {
  const command = apdu
    .command("send")
    .summary("send APDUs to the card, just as they are")
    .description(
      "Send command APDUs to the card in the reader, one after the other, unchanged, in one transaction; " +
        "show each answer and what it means. Without arguments the APDUs come from standard input, one a line. Give APDUs with a PIN there, because everybody can see a command line.",
    )
    .argument("[apdu...]", "each a whole command APDU in hexadecimal")
    .option("--reset", "reset the card first")
    .addHelpText(
      "after",
      examples(
        ["cryptoki apdu send 00A4040009A00000030800001000 00CB3FFF035C017E00", "select PIV, read its discovery object"],
        ["cryptoki apdu send --json < commands.txt", "for a program: one JSON line for each"],
        ["cryptoki --virtual apdu send 0020008000", "how many PIN tries a virtual card has left"],
      ),
    );
  action<SendOptions, [readonly string[]]>(command, environment, async (context, options, words) => {
    const apdus = await readApdus(words, context);
    const pcsc = await context.pcsc();
    const reader = await chooseReader(context);
    await using connection = await pcsc.connect(reader, { signal: context.signal });
    if (options.reset) await connection.reconnect(1);
    const raw: Transmit = (apdu, options) => connection.transmit(apdu, options);
    const transmit = context.cardOptions.wrap?.(raw, reader) ?? raw;
    await connection.begin({ signal: context.signal });
    const concealer = new Concealer();
    for (const apdu of apdus) {
      const answer = await transmit(apdu, { signal: context.signal });
      // The answer was asked for; a PIN in the command need not be seen twice.
      show(context, apdu, concealer.conceal(apdu, answer).command, answer);
    }
    await connection.end();
  });
}

async function readApdus(words: readonly string[], context: CommandContext): Promise<Uint8Array[]> {
  const texts =
    words.length > 0
      ? words
      : Buffer.from(await readInput(undefined, context.environment, LIMIT.TEXT))
          .toString("utf8")
          .split("\n");
  const apdus = texts.filter((text) => text.trim() !== "").map((text, index) => hexArgument(text, `APDU ${index + 1}`));
  for (const [index, { length }] of apdus.entries()) {
    if (length < 4) throw new UsageError(`APDU ${index + 1}: ${length} bytes; a command has 4 at least`);
  }
  if (apdus.length === 0) throw new UsageError("no APDU given: name one, or write them on standard input");
  return apdus;
}

function show({ print }: CommandContext, command: Uint8Array, shown: string, answer: Uint8Array): void {
  const { name } = explainCommand(command);
  const { status, details } = explainResponse(command, answer);
  const data = toHex(answer.subarray(0, -2));
  if (print.json) {
    print.documentLine({ command: shown, name, data, status: status ?? null, details });
    return;
  }
  print.line(
    `${print.colours.dim(">")} ${(shown.match(/../gu) ?? []).join(" ").toUpperCase()}  ${print.colours.bold(name)}`,
  );
  print.line(`${print.colours.dim("<")} ${toHex(answer, " ").toUpperCase()}`);
  if (status) sayStatus(print, status);
  for (const detail of details) print.line(`  ${detail}`);
}
