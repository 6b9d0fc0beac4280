import type { Command } from "commander";
import {
  type CommandApdu,
  CONCEALED,
  Concealer,
  decodeCommand,
  encodeCommand,
  explainCommand,
  explainResponse,
  explainStatus,
  findCommandNamed,
  type LengthForm,
  type NamedCommand,
  namedCommands,
  parseAtr,
  parseHistoricalBytes,
  type StatusExplanation,
  type Transmit,
} from "../../apdu/index.ts";
import { DataError, toHex } from "../../bytes/index.ts";
import { action, type CommandContext } from "../context.ts";
import { hexArgument, LIMIT, readInput } from "../input/files.ts";
import { examples, refuseCardOptions } from "../input/options.ts";
import { chooseReader } from "../input/token.ts";
import { parseRecording } from "../../pcsc/index.ts";
import { FileError, UsageError } from "../output/failures.ts";
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
        "begins with < is the answer to the command before it. A recording, made with --record, is explained exchange by " +
        "exchange. No card is needed.",
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
        ["cryptoki apdu explain '> 00CB3FFF035C017E00' '< 6A82'", "two lines of a log"],
        ["cryptoki apdu explain < recording.jsonl", "what --record wrote"],
      ),
    );
  action<ExplainOptions, [readonly string[]]>(command, environment, async (context, { answer }, words) => {
    refuseCardOptions(context.options);
    const [first = "", second = ""] = words;
    if (words.length === 0) {
      const text = Buffer.from(await readInput(undefined, context.environment, LIMIT.TEXT)).toString("utf8");
      if (text.startsWith("{")) explainRecording(context, text);
      else explainLines(context, text.split("\n"));
    } else if (words.some((word) => /[<>\n]/u.test(word))) {
      explainLines(context, words.join("\n").split("\n"));
    } else if (words.length === 2 && answer === undefined && isWhole(first) && second.length >= 4) {
      explain(context, hexArgument(first, "the APDU"), hexArgument(second, "the answer"));
    } else {
      const bytes = hexArgument(words.join(""), "the APDU");
      explain(context, bytes, answer === undefined ? undefined : hexArgument(answer, "--answer"));
    }
  });
}

/** Whether a word is a whole command: the next one is its answer then. */
function isWhole(word: string): boolean {
  try {
    decodeCommand(hexArgument(word, "the APDU"));
    return true;
  } catch (error) {
    if (error instanceof DataError || error instanceof UsageError) return false;
    throw error;
  }
}

/**
 * Explains the exchanges of a recording. Of a command with concealed bytes only the header is explained, of an answer
 * with such bytes only the status word.
 */
function explainRecording(context: CommandContext, text: string): void {
  for (const line of readRecording(text).lines) {
    if (line.kind !== "transmit") continue;
    const { command, outcome } = line;
    const header = command.includes(CONCEALED) ? command.slice(0, 8) : command;
    const bytes = hexArgument(header, `line ${line.line}`);
    explain(context, bytes);
    if ("error" in outcome) continue;
    const { answer } = outcome;
    explainAnswer(
      context,
      bytes,
      hexArgument(answer.includes(CONCEALED) ? answer.slice(-4) : answer, `line ${line.line}`),
    );
  }
}

function readRecording(text: string): ReturnType<typeof parseRecording> {
  try {
    return parseRecording(text);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new FileError(cause.message, { cause });
  }
}

function explainLines(context: CommandContext, lines: readonly string[]): void {
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

interface BuildOptions {
  readonly cla?: string;
  readonly p1?: string;
  readonly p2?: string;
  readonly data?: string;
  readonly le?: number;
  readonly extended?: true;
}

function addApduBuild(apdu: Command, environment: Environment): void {
  const command = apdu
    .command("build")
    .summary("make an APDU of a command's name and fields")
    .description(
      "Make a command APDU: name the command as explain does, and give its fields; print it in hexadecimal. Without a name, list the " +
        "commands. No card is needed.",
    )
    .argument("[name]", 'such as "GET DATA", in any case, with spaces or hyphens')
    .option("--p1 <hex>", "first parameter byte; default: 00")
    .option("--p2 <hex>", "second parameter byte; default: 00")
    .option("--data <hex>", "the data")
    .option("--le <number>", "bytes of the answer, as a number; 256, or 65536 with --extended, is the most", readLength)
    .option("--cla <hex>", "class byte; default: that of the command's standard")
    .option("--extended", "write the lengths in the extended form")
    .addHelpText(
      "after",
      examples(
        ["cryptoki apdu build select --p1 04 --data A000000308 --le 256", "select PIV"],
        ["cryptoki apdu build get-data --p1 3F --p2 FF --data 5C035FC105 --le 256", "read the certificate of 9A"],
        ["cryptoki apdu send $(cryptoki apdu build verify --p2 80)", "build a command and send it"],
        ["cryptoki apdu build", "list the commands"],
      ),
    );
  action<BuildOptions, [string | undefined]>(command, environment, (context, options, name) => {
    build(context, options, name);
    return Promise.resolve();
  });
}

function build(context: CommandContext, options: BuildOptions, name: string | undefined): void {
  const { print } = context;
  refuseCardOptions(context.options);
  if (name === undefined) {
    const known = namedCommands();
    if (print.json) print.document(known);
    else
      print.table(
        ["NAME", "INS", "STANDARD"],
        known.map(({ name: one, ins, standard }) => [one, byteText(ins), standard]),
      );
    return;
  }
  const { ins, cla } = commandNamed(name);
  const apdu = buildCommand(
    {
      cla: options.cla === undefined ? cla : oneByte(options.cla, "--cla"),
      ins,
      p1: oneByte(options.p1 ?? "00", "--p1"),
      p2: oneByte(options.p2 ?? "00", "--p2"),
      ...(options.data !== undefined && { data: hexArgument(options.data, "--data") }),
      ...(options.le !== undefined && { ne: options.le }),
    },
    options.extended ? "extended" : "short",
  );
  if (print.json) print.document({ command: toHex(apdu), ...explainCommand(apdu) });
  else print.line(toHex(apdu).toUpperCase());
}

const byteText = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, "0");

function readLength(text: string): number {
  const length = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (length < 1 || length > 65_536) throw new UsageError("--le is a number of bytes, 1 to 65536");
  return length;
}

function oneByte(text: string, option: string): number {
  const bytes = hexArgument(text, option);
  const [byte] = bytes;
  if (byte === undefined || bytes.length > 1) throw new UsageError(`${option} is one byte, two hexadecimal digits`);
  return byte;
}

/** @throws {UsageError} for a name that explain does not know. */
function commandNamed(name: string): NamedCommand {
  const search = findCommandNamed(name);
  if ("found" in search) return search.found;
  const { candidates } = search;
  const problem = `there is no command ${name.toUpperCase().replaceAll("-", " ")}`;
  if (candidates.length > 0) throw new UsageError(`${problem}; did you mean`, { candidates });
  throw new UsageError(`${problem}; list them with: cryptoki apdu build`);
}

function buildCommand(command: CommandApdu, form: LengthForm): Uint8Array {
  try {
    return encodeCommand(command, form);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(cause.message, { cause });
  }
}

export function addApdu(program: Command, environment: Environment): void {
  const apdu = program
    .command("apdu")
    .summary("send APDUs to a card, or explain them")
    .description("Commands of ISO/IEC 7816-4, as bytes.");
  addApduSend(apdu, environment);
  addApduExplain(apdu, environment);
  addApduBuild(apdu, environment);
}
