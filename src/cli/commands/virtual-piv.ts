import { type Command, InvalidArgumentError } from "commander";
import type { PluggedCard } from "../../virtual/index.ts";
import { addCardOptions, type CardOptions, createCard } from "../card-options.ts";
import { action, type CommandContext } from "../context.ts";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";
import { openVirtualCard } from "../virtual-card.ts";

interface PivOptions extends CardOptions {
  readonly host: string;
  readonly port: number;
  readonly file?: string;
}

/** vpcd's first slot. */
const PORT = 35_963;

export function addVirtualPiv(virtual: Command, environment: Environment): void {
  const command = addCardOptions(
    virtual
      .command("piv")
      .summary("put a virtual PIV card into a real pcscd, until interrupted")
      .description(
        "Put a virtual PIV card into the virtual reader of a real pcscd (Debian package vsmartcard-vpcd), where every " +
          "program finds it, until interrupted. It is a new card with PIN 123456 unless --file names a saved one.",
      )
      .option("--host <host>", "where vpcd listens", "127.0.0.1")
      .option("--port <port>", "its port; the next virtual reader has the next one", parsePort, PORT)
      .option("--file <file>", "a saved card, in which changes are kept"),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki virtual piv", "a new card, until Ctrl-C"],
      ["cryptoki virtual piv --file card.json", "a card from: cryptoki virtual create card.json"],
      ["pkcs11-tool --module opensc-pkcs11.so -O", "in another terminal: other programs see it"],
    ),
  );
  action<PivOptions>(command, environment, serve, () => true);
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/u.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("a port is a number from 1 to 65535");
  return port;
}

async function serve(context: CommandContext, options: PivOptions): Promise<void> {
  const { plugIntoVpcd } = await import("../../virtual/index.ts");
  const { print, signal } = context;
  const { host, port, file } = options;
  const card = file === undefined ? await createCard(options) : await openVirtualCard(file);
  const plugged: PluggedCard = context.owns(await plugIntoVpcd(card, { host, port, signal }));
  if (print.json) print.documentLine({ event: "plugged", host, port, file: file ?? null });
  else {
    const which = file === undefined ? "A new PIV card (PIN 123456)" : `The card of ${file}`;
    print.line(`${which} is in the virtual reader at ${host}:${port}. Ctrl-C takes it out.`);
  }
  await plugged.removed;
  if (print.json) print.documentLine({ event: "removed" });
  else print.line("The card is out.");
}
