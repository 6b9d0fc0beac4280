import { type Command, Option } from "commander";
import type { ResultVerification } from "../../cryptoki/index.ts";
import type { PcscTransport } from "../../pcsc/index.ts";
import { UsageError } from "../output/failures.ts";

/** Options of every command. */
export interface GlobalOptions {
  readonly virtual?: string | true;
  readonly reader?: string;
  readonly token?: string;
  readonly server?: string;
  readonly transport: "auto" | PcscTransport;
  readonly pinSource?: string;
  readonly timeout?: number;
  /** In seconds. */
  readonly patience?: number;
  readonly verifyResults?: ResultVerification;
  readonly cache?: true;
  readonly json?: true;
  readonly trace?: true;
  readonly record?: string;
  readonly force?: true;
}

/** The card that --virtual without a value makes. */
export const DEFAULT_CARD = "piv";

/** Seconds to wait for other programs' transactions. */
export const DEFAULT_PATIENCE = 60;

/** Adds the options to the program; they may stand before or after the command's name. */
export function addGlobalOptions(program: Command): void {
  program
    .addOption(
      new Option("--virtual [card]", "use a virtual card: piv, pkcs15, or a file that holds a saved one; default: piv"),
    )
    .addOption(new Option("--reader <name>", "use the reader whose name contains this"))
    .addOption(
      new Option("--token <name>", "use the token with this label, serial number, slot number or PKCS #11 URI"),
    )
    .addOption(
      new Option(
        "--server <address>",
        "use the tokens of a p11-kit server: unix:path=/..., or a command that serves p11-kit's protocol on its standard input and output",
      ).conflicts("virtual"),
    )
    .addOption(
      new Option("--transport <way>", "how to reach the card readers")
        .choices(["auto", "pcscd", "native", "addon"] satisfies GlobalOptions["transport"][])
        .default("auto")
        .conflicts(["server", "virtual"]),
    )
    .addOption(
      new Option("--pin-source <source>", "take the PIN from file:PATH, env:NAME, fd:NUMBER, or - (standard input)"),
    )
    .addOption(
      new Option("--timeout <seconds>", "stop the command after this time, whatever it waits for").argParser(
        parseTimeout,
      ),
    )
    .addOption(
      new Option(
        "--patience <seconds>",
        `wait this long for other programs that use the card; default: ${DEFAULT_PATIENCE}`,
      ).argParser(parsePatience),
    )
    .addOption(
      new Option(
        "--verify-results <when>",
        "check the card's results with the public key: always, or only if the public key has been read; default: known",
      )
        .choices(["known", "always"] satisfies ResultVerification[])
        .conflicts("server"),
    )
    .addOption(
      new Option(
        "--cache",
        "keep copies of certificates and other public data of cards in $XDG_CACHE_HOME/cryptoki/cards, and use them: fewer exchanges",
      ).conflicts("server"),
    )
    .addOption(new Option("--json", "print JSON; errors too, on standard error"))
    .addOption(
      new Option(
        "--trace",
        "print every APDU with its meaning, and every PKCS #11 call, to standard error, without PINs and keys",
      ),
    )
    .addOption(
      new Option("--record <file>", "write every exchange with the card to this file, without PINs and keys").conflicts(
        "server",
      ),
    )
    .addOption(new Option("--force", "write over a file that exists: that of --output, or of virtual create"));
}

function parseTimeout(text: string): number {
  const seconds = parseSeconds(text) ?? 0;
  if (seconds === 0) throw new UsageError("--timeout takes a number of seconds above 0, such as 10 or 0.5");
  return seconds;
}

function parsePatience(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds === undefined) throw new UsageError("--patience takes a number of seconds, such as 10, or 0 not to wait");
  return seconds;
}

const parseSeconds = (text: string): number | undefined =>
  /^\d{1,6}(\.\d{1,3})?$/u.test(text) ? Number(text) : undefined;

/**
 * `--virtual` may stand without its value, also before the command's name: `cryptoki --virtual tokens`. A word that is
 * a command's name is not its value; write `./tokens` for a file of that name.
 */
export function completeVirtual(args: readonly string[], commands: readonly string[]): string[] {
  return args.map((arg, index) => {
    const next = args[index + 1];
    return arg === "--virtual" && next !== undefined && commands.includes(next) ? `--virtual=${DEFAULT_CARD}` : arg;
  });
}

/** Adds examples to a command's help: what to type, and what it does. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  const body = lines.map(([command, meaning]) => `  # ${meaning}\n  $ ${command}`);
  return `\nExamples:\n${body.join("\n")}\n`;
}

/** Options of cards, tokens and readers, by their names in {@link GlobalOptions}. */
const OF_CARDS = {
  virtual: "--virtual",
  reader: "--reader",
  token: "--token",
  server: "--server",
  pinSource: "--pin-source",
  patience: "--patience",
  verifyResults: "--verify-results",
  cache: "--cache",
  trace: "--trace",
  record: "--record",
} as const satisfies Partial<Record<keyof GlobalOptions, string>>;

/** For a command that uses no card. @throws {UsageError} for an option that would have no effect. */
export function refuseCardOptions(options: GlobalOptions): void {
  for (const [name, option] of Object.entries(OF_CARDS)) {
    if (options[name as keyof typeof OF_CARDS] === undefined) continue;
    throw new UsageError(`${option} has no effect on this command, which uses no card; leave it out`);
  }
}
