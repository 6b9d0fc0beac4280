import { type Command, InvalidArgumentError } from "commander";
import type { PluggedCard, VirtualCard } from "../../virtual/index.ts";
import { action, type CommandContext } from "../context.ts";
import type { Environment } from "../environment.ts";
import { openVirtualCard } from "../virtual-card.ts";

/** Where the virtual reader is, and the card if it is a saved one. */
export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly file?: string;
}

/** The card where no saved one is named. */
interface NewCard<Options> {
  /** What it is, for people. */
  readonly is: string;
  readonly make: (options: Options) => Promise<VirtualCard>;
}

/** vpcd's first slot. */
const PORT = 35_963;

/** Adds the options of {@link ServeOptions} to a command, and what it does. */
export function addServing<Options extends ServeOptions>(
  command: Command,
  environment: Environment,
  newCard: NewCard<Options>,
): void {
  command
    .option("--host <host>", "where vpcd listens", "127.0.0.1")
    .option("--port <port>", "its port; the next virtual reader has the next one", parsePort, PORT)
    .option("--file <file>", "a saved card, in which changes are kept");
  action<Options>(
    command,
    environment,
    (context, options) => serve(context, options, newCard),
    () => true,
  );
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("a port is a number from 1 to 65535");
  return port;
}

async function serve<Options extends ServeOptions>(
  context: CommandContext,
  options: Options,
  newCard: NewCard<Options>,
): Promise<void> {
  const { plugIntoVpcd } = await import("../../virtual/index.ts");
  const { print, signal } = context;
  const { host, port, file } = options;
  const card = file === undefined ? await newCard.make(options) : await openVirtualCard(file);
  const plugged: PluggedCard = context.owns(await plugIntoVpcd(card, { host, port, signal }));
  if (print.json) print.documentLine({ event: "plugged", host, port, file: file ?? null });
  else {
    const which = file === undefined ? newCard.is : `The card of ${file}`;
    print.line(`${which} is in the virtual reader at ${host}:${port}. Ctrl-C takes it out.`);
  }
  await plugged.removed;
  if (print.json) print.documentLine({ event: "removed" });
  else print.line("The card is out.");
}
