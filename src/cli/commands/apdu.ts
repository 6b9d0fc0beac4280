import type { Command } from "commander";
import {
  Concealer,
  explainCommand,
  explainResponse,
  explainStatus,
  parseAtr,
  parseHistoricalBytes,
  type StatusExplanation,
  type Transmit,
} from "../../apdu/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import { action, type CommandContext } from "../context.ts";
import { hexArgument, LIMIT, readInput } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { chooseReader } from "../input/token.ts";
import { UsageError } from "../output/failures.ts";
import type { Environment, Printer } from "../output/printer.ts";

/** A status word and its meaning, green for success. */
function sayStatus(print: Printer, status: StatusExplanation): void {
  const { code, kind, name, advice } = status;
  const colour =
    kind === "success" ? print.colours.green : kind === "warning" ? print.colours.yellow : print.colours.red;
  print.line(`${colour(code)}  ${name}`);
  if (advice !== undefined) print.line(`      ${print.colours.dim(advice)}`);
}

interface ExplainOptions {
  readonly answer?: string;
}

function addApduExplain(apdu: Command, environment: Environment): void {
  const command = apdu
    .command("explain")
    .summary("say what an APDU, status word or answer to reset means")
    .description(
      "Explain a command APDU, a card's answer, a status word (two bytes) or " +
        "an answer to reset. Without arguments, each line of standard input is explained; a line that " +
        "begins with < is the answer to the command before it. No card is needed.",
    )
    .argument("[hex...]", "the bytes, in hexadecimal, with or without blanks and colons")
    .option("--answer <hex>", "the card's answer to the command")
    .addHelpText(
      "after",
      examples(
        ["cryptoki apdu explain 00A4040009A00000030800001000", "a command"],
        ["cryptoki apdu explain 63C2", "a status word"],
        ["cryptoki apdu explain 00CB3FFF035C017E00 --answer 6A82", "a command and its answer"],
        ["grep -E '^[<>]' apdus.log | cryptoki apdu explain", "a log, line by line"],
      ),
    );
  action<ExplainOptions, [readonly string[]]>(command, environment, async (context, { answer }, words) => {
    if (words.length > 0) {
      const bytes = hexArgument(words.join(""), "the APDU");
      explain(context, bytes, answer === undefined ? undefined : hexArgument(answer, "--answer"));
    } else await explainLines(context);
  });
}

async function explainLines(context: CommandContext): Promise<void> {
  const lines = Buffer.from(await readInput(undefined, context.environment, LIMIT.TEXT))
    .toString("utf8")
    .split("\n");
  let command: Uint8Array | undefined;
  for (const [index, line] of lines.entries()) {
    const [, mark = "", digits = ""] = /^\s*(<-?|->|>|)\s*(.*?)\s*$/u.exec(line) ?? [];
    if (digits === "") continue;
    const bytes = hexArgument(digits, `line ${index + 1}`);
    if (mark.startsWith("<")) explainAnswer(context, command ?? new Uint8Array(), bytes);
    else explain(context, (command = bytes));
  }
}

function explain(context: CommandContext, bytes: Uint8Array, answer?: Uint8Array): void {
  const [first = 0, second = 0] = bytes;
  if (bytes.length === 2) explainStatusWord(context, explainStatus((first << 8) | second));
  else if (isAtr(bytes)) explainAtr(context, bytes);
  else {
    explainOne(context, bytes);
    if (answer) explainAnswer(context, bytes, answer);
  }
}

function explainStatusWord({ print }: CommandContext, status: StatusExplanation): void {
  if (print.json) print.documentLine({ kind: "status", status });
  else sayStatus(print, status);
}

function explainOne({ print }: CommandContext, bytes: Uint8Array): void {
  const explanation = explainCommand(bytes);
  if (print.json) {
    print.documentLine({ kind: "command", ...explanation });
    return;
  }
  const { name, standard, details, chained } = explanation;
  print.line(`${print.colours.bold(name)}${standard === "" ? "" : `  ${print.colours.dim(standard)}`}`);
  for (const detail of details) print.line(`  ${detail}`);
  if (chained) print.line("  more parts of the command follow");
}

function explainAnswer({ print }: CommandContext, command: Uint8Array, answer: Uint8Array): void {
  const { status, details } = explainResponse(command, answer);
  if (print.json) {
    print.documentLine({ kind: "answer", status: status ?? null, details });
    return;
  }
  if (status) sayStatus(print, status);
  for (const detail of details) print.line(`  ${detail}`);
}

/**
 * No command's class byte is 3B or 3F (ISO/IEC 7816-4 section 5.4.1: reserved), so only an answer to reset begins so.
 */
function isAtr(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0x3b && bytes[0] !== 0x3f) return false;
  try {
    parseAtr(bytes);
    return true;
  } catch (error) {
    if (error instanceof DataError) return false;
    throw error;
  }
}

function explainAtr({ print }: CommandContext, bytes: Uint8Array): void {
  const { convention, protocols, interfaceBytes, historicalBytes, checksum } = parseAtr(bytes);
  const historical = describeHistorical(historicalBytes);
  const interfaces = interfaceBytes.map(({ name, value }) => `${name}=${toHex(Uint8Array.of(value)).toUpperCase()}`);
  if (print.json) {
    const kind = "answer to reset";
    const hex = toHex(historicalBytes);
    print.documentLine({ kind, convention, protocols, interfaceBytes, historicalBytes: hex, historical, checksum });
    return;
  }
  print.line(print.colours.bold("Answer to reset"));
  print.pairs(
    [
      ["convention", convention],
      ["protocols", protocols.map((protocol) => `T=${protocol}`).join(", ")],
      ["interface bytes", interfaces.join(" ") || "none"],
      ["historical bytes", toHex(historicalBytes, " ").toUpperCase() || "none"],
      ...historical.map((text): [string, string] => ["", text]),
      ["check byte", checksum],
    ],
    "  ",
  );
}

function describeHistorical(bytes: Uint8Array): string[] {
  try {
    const { category, capabilities } = parseHistoricalBytes(bytes);
    const abilities = [
      capabilities?.commandChaining === true && "command chaining",
      capabilities?.extendedLength === true && "extended length",
    ].filter((ability) => ability !== false);
    return category === "none" ? [] : [[category, ...abilities].join(", ")];
  } catch (error) {
    if (error instanceof DataError) return [error.message];
    throw error;
  }
}

interface SendOptions {
  readonly reset?: true;
}

function addApduSend(apdu: Command, environment: Environment): void {
  const command = apdu
    .command("send")
    .summary("send APDUs to the card unchanged")
    .description(
      "Send command APDUs to the card in the reader, one after the other, unchanged, in one transaction; " +
        "show each answer and what it means. Without arguments the command reads the APDUs from standard input, one a line. Give APDUs with a PIN there: other users of the machine can see a command line.",
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
      // The user asked for the answer; a PIN in the command is not printed again.
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
    if (length < 4) throw new UsageError(`APDU ${index + 1}: ${length} bytes; a command has at least 4`);
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

export function addApdu(program: Command, environment: Environment): void {
  const apdu = program
    .command("apdu")
    .summary("send APDUs to a card, or explain them")
    .description("Commands of ISO/IEC 7816-4, as bytes.");
  addApduSend(apdu, environment);
  addApduExplain(apdu, environment);
}
