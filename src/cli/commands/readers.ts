import type { Command } from "commander";
import { toHex } from "../../bytes/index.ts";
import type { ReaderState } from "../../pcsc/index.ts";
import { action, type CommandContext } from "../context.ts";
import { type Cell, type Environment, visible } from "../output/printer.ts";
import { examples } from "../input/options.ts";
import { noReader, wantsReader } from "../input/token.ts";

interface ReadersOptions {
  readonly watch?: true;
}

export function addReaders(program: Command, environment: Environment): void {
  const command = program
    .command("readers")
    .summary("list the card readers and the cards in them")
    .description("List the card readers, and the answer to reset of the card in each. No command is sent to a card.")
    .option("--watch", "keep running and show every change, until interrupted")
    .addHelpText(
      "after",
      examples(
        ["cryptoki readers", "the readers of this machine"],
        ["cryptoki readers --watch", "print a line when a card comes or goes"],
        ["cryptoki readers --json", "for a program: an array of readers"],
      ),
    );
  action<ReadersOptions>(
    command,
    environment,
    (context, options) => (options.watch ? watch(context) : list(context)),
    (options) => options.watch === true,
  );
}

async function list(context: CommandContext): Promise<void> {
  const { print } = context;
  const pcsc = await context.pcsc();
  const readers = (await pcsc.readers()).filter((reader) => wantsReader(context, reader.name));
  if (print.json) print.document(readers.map((reader) => readerDocument(context, reader)));
  else if (readers.length > 0) {
    print.table(
      ["READER", "CARD", "ANSWER TO RESET"],
      readers.map((reader) => [reader.name, cardState(context, reader), toHex(reader.atr, " ")]),
    );
  }
  if (readers.length === 0) throw noReader(context);
}

/** A reader as `--json` prints it. */
function readerDocument({ transport }: CommandContext, reader: ReaderState): object {
  const { name, unavailable, present, mute, atr, sharing } = reader;
  const connections = sharing === undefined ? {} : { connections: sharing };
  return { name, ...(unavailable && { unavailable }), present, mute, atr: toHex(atr), ...connections, transport };
}

function cardState({ print: { colours } }: CommandContext, { unavailable, present, mute }: ReaderState): Cell {
  if (unavailable) return { styled: colours.yellow("reader unavailable") };
  if (!present) return { styled: colours.dim("none") };
  return { styled: mute ? colours.yellow("does not answer") : colours.green("present") };
}

async function watch(context: CommandContext): Promise<void> {
  const { print, signal } = context;
  const pcsc = await context.pcsc();
  let before = new Map<string, ReaderState>();
  for await (const states of pcsc.changes({ signal })) {
    const now = new Map(
      states.filter(({ name }) => wantsReader(context, name)).map((reader) => [reader.name, reader] as const),
    );
    for (const event of changesBetween(before, now)) {
      const time = new Date().toISOString();
      if (print.json) print.documentLine({ time, event: event.what, ...readerDocument(context, event.reader) });
      else tell(context, event);
    }
    before = now;
  }
}

interface ReaderEvent {
  readonly what:
    "reader-added" | "reader-removed" | "reader-unavailable" | "reader-available" | "card-inserted" | "card-removed";
  readonly reader: ReaderState;
}

function* changesBetween(
  before: ReadonlyMap<string, ReaderState>,
  now: ReadonlyMap<string, ReaderState>,
): Generator<ReaderEvent> {
  for (const reader of before.values()) if (!now.has(reader.name)) yield { what: "reader-removed", reader };
  for (const reader of now.values()) {
    const old = before.get(reader.name);
    if (!old) yield { what: "reader-added", reader };
    if (reader.unavailable !== (old?.unavailable ?? false)) {
      yield { what: reader.unavailable ? "reader-unavailable" : "reader-available", reader };
    }
    const swapped = old?.present === true && reader.present && old.events !== reader.events;
    if (old?.present === true && (!reader.present || swapped)) yield { what: "card-removed", reader };
    if (reader.present && (old?.present !== true || swapped)) yield { what: "card-inserted", reader };
  }
}

function tell({ print }: CommandContext, { what, reader }: ReaderEvent): void {
  const { colours } = print;
  const clock = colours.dim(new Date().toLocaleTimeString("en-GB"));
  const words = {
    "reader-added": colours.cyan("reader"),
    "reader-removed": colours.yellow("reader gone"),
    "reader-unavailable": colours.yellow("reader unavailable"),
    "reader-available": colours.cyan("reader available"),
    "card-inserted": colours.green("card in"),
    "card-removed": colours.yellow("card out"),
  };
  const atr = what === "card-inserted" ? `  ${colours.dim(toHex(reader.atr, " "))}` : "";
  print.table([], [[{ styled: clock }, { styled: words[what] }, { styled: `${visible(reader.name)}${atr}` }]]);
}
