import { type Command, InvalidArgumentError } from "commander";
import { setTimeout as sleep } from "node:timers/promises";
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

/** Milliseconds in which a reader sees a new card: vpcd asks for its answer to reset several times a second. */
const NOTICE = 3000;

/** A card that knows whether a reader has looked at it. vpcd lets a second card wait at its door until the first is out. */
class WatchedCard implements VirtualCard {
  readonly #card: VirtualCard;
  isSeen = false;

  constructor(card: VirtualCard) {
    this.#card = card;
  }

  get atr(): Uint8Array {
    this.isSeen = true;
    return this.#card.atr;
  }

  reset(): void {
    this.#card.reset();
  }

  transmit(command: Uint8Array): Promise<Uint8Array> {
    return this.#card.transmit(command);
  }
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
  const watched = new WatchedCard(card);
  const plugged: PluggedCard = context.owns(await plugIntoVpcd(watched, { host, port, signal }));
  if (print.json) print.documentLine({ event: "plugged", host, port, file: file ?? null });
  else {
    const which = file === undefined ? newCard.is : `The card of ${file}`;
    print.line(`${which} is in the virtual reader at ${host}:${port}. Ctrl-C takes it out.`);
  }
  const ended = new AbortController();
  void sleep(NOTICE, undefined, { signal: ended.signal }).then(
    () => {
      if (watched.isSeen) return;
      if (print.json) {
        print.documentLine({ event: "unseen", host, port, file: file ?? null });
        return;
      }
      const what =
        "does not look at the card: perhaps another one is in it (--port takes another reader), or pcscd has stopped";
      context.remark.line(`The virtual reader at ${host}:${port} ${what}.`);
    },
    () => undefined,
  );
  await plugged.removed.finally(() => {
    ended.abort();
  });
  if (print.json) print.documentLine({ event: "removed" });
  else print.line("The card is out.");
}
