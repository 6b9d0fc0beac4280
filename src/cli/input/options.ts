import { type Command, Option } from "commander";
import type { ResultVerification } from "../../cryptoki/index.ts";
import { UsageError } from "../output/failures.ts";

/** Options of every command, as commander gives them. */
export interface GlobalOptions {
  readonly virtual?: string | true;
  readonly reader?: string;
  readonly token?: string;
  readonly server?: string;
  readonly transport: "pcscd" | "addon";
  readonly pinSource?: string;
  readonly timeout?: number;
  /** In seconds. */
  readonly patience?: number;
  readonly verifyResults?: ResultVerification;
  readonly json?: true;
  readonly trace?: true;
  readonly record?: string;
}

/** What --virtual means without a value. */
export const DEFAULT_CARD = "piv";

/** Seconds that other programs' transactions are waited for. */
export const DEFAULT_PATIENCE = 60;

/** Adds them to the program; they may stand before or after the command's name. */
export function addGlobalOptions(program: Command): void {
  program
    .addOption(
      new Option("--virtual [card]", "use a virtual card: piv, pkcs15, or a file that holds a saved one; default: piv"),
    )
    .addOption(new Option("--reader <name>", "use the reader whose name contains this"))
    .addOption(new Option("--token <uri>", "use the token that this PKCS #11 URI describes"))
    .addOption(
      new Option(
        "--server <address>",
        "use the tokens of a p11-kit server: unix:path=/..., or a command that serves one on its standard input and output",
      ).conflicts("virtual"),
    )
    .addOption(
      new Option("--transport <way>", "the way to the card readers").choices(["pcscd", "addon"]).default("pcscd"),
    )
    .addOption(
      new Option("--pin-source <source>", "take the PIN from file:PATH, env:NAME, fd:NUMBER, or - (standard input)"),
    )
    .addOption(
      new Option("--timeout <seconds>", "end the command after this time, whatever it waits for").argParser(
        parseTimeout,
      ),
    )
    .addOption(
      new Option(
        "--patience <seconds>",
        `wait this long for another program that uses the card; default: ${DEFAULT_PATIENCE}`,
      ).argParser(parsePatience),
    )
    .addOption(
      new Option(
        "--verify-results <when>",
        "check what a card computed with its public key: if that is known already, or always; default: known",
      )
        .choices(["known", "always"] satisfies ResultVerification[])
        .conflicts("server"),
    )
    .addOption(new Option("--json", "print JSON; errors too, on standard error"))
    .addOption(
      new Option(
        "--trace",
        "show every APDU, its meaning and every PKCS #11 call on standard error, without PINs and keys",
      ),
    )
    .addOption(new Option("--record <file>", "write every exchange with the card to a file, without PINs and keys"));
}

function parseTimeout(text: string): number {
  const seconds = parseSeconds(text) ?? 0;
  if (seconds === 0) throw new UsageError("--timeout is a number of seconds above 0, such as 10 or 0.5");
  return seconds;
}

function parsePatience(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds === undefined) throw new UsageError("--patience is a number of seconds, such as 10, or 0 for no wait");
  return seconds;
}

const parseSeconds = (text: string): number | undefined =>
  /^\d{1,6}(\.\d{1,3})?$/u.test(text) ? Number(text) : undefined;

/**
 * `--virtual` may stand without its value, also before the command's name: `cryptoki --virtual tokens`. The name of a
 * command is no card; a file of that name is written `./tokens`.
 */
export function completeVirtual(args: readonly string[], commands: readonly string[]): string[] {
  return args.map((arg, index) => {
    const next = args[index + 1];
    return arg === "--virtual" && next !== undefined && commands.includes(next) ? `--virtual=${DEFAULT_CARD}` : arg;
  });
}

/** Examples at the end of a command's help: what one types, and what it does. */
export function examples(...lines: readonly (readonly [command: string, meaning: string])[]): string {
  const body = lines.map(([command, meaning]) => `  # ${meaning}\n  $ ${command}`);
  return `\nExamples:\n${body.join("\n")}\n`;
}
