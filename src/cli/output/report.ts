import { inspect } from "node:util";
import { CommanderError } from "commander";
import { PinError } from "../../card/index.ts";
import { CryptokiError } from "../../cryptoki/index.ts";
import { exitCodeOf, InterruptedError, UnsuitableCardError, UsageError } from "./failures.ts";
import { coloursFor, type Environment, visible } from "./printer.ts";

/** An error as `--json` prints it. */
interface ErrorDocument {
  readonly error: {
    /** The standard's name (CKR_PIN_INCORRECT, SCARD_E_NO_SERVICE), or this program's (UsageError). */
    readonly name: string;
    readonly message: string;
    readonly exitCode: number;
    /** Tries left, after a wrong PIN. */
    readonly triesLeft?: number;
    /** The candidates, if the command line matches several readers, tokens or objects. */
    readonly candidates?: readonly string[];
    /** Messages of the causes, the outermost first. */
    readonly causes: readonly string[];
  };
}

/** Prints an error on standard error, in a line or two, or as JSON; the stack only with CRYPTOKI_DEBUG. */
export function report(error: unknown, { stderr, env }: Environment, json: boolean): number {
  const exitCode = exitCodeOf(error);
  if (error instanceof InterruptedError && !json) return exitCode;
  if (json) stderr.write(`${JSON.stringify(errorDocument(error, exitCode))}\n`);
  else {
    const colours = coloursFor(stderr, env);
    const [message, ...rest] = messages(error, false);
    stderr.write(`${colours.red("error:")} ${visible(message ?? "")}\n`);
    const last = rest.at(-1);
    const candidates = candidatesOf(error);
    for (const candidate of candidates) stderr.write(`  ${visible(candidate)}\n`);
    if (helpHelps(error) && candidates.length === 0)
      stderr.write(`${colours.dim("see:")} cryptoki help, or a command with --help\n`);
    else if (last !== undefined) stderr.write(`${colours.dim("cause:")} ${visible(last)}\n`);
  }
  if (env["CRYPTOKI_DEBUG"]) stderr.write(`${inspect(error)}\n`);
  return exitCode;
}

/** Whether the command line is wrong, in a way that the help would have told. */
function helpHelps(error: unknown): boolean {
  return error instanceof CommanderError || (error instanceof UsageError && !(error instanceof UnsuitableCardError));
}

function errorDocument(error: unknown, exitCode: number): ErrorDocument {
  const [message = "", ...causes] = messages(error);
  const tries = triesLeft(error);
  const candidates = candidatesOf(error);
  return {
    error: {
      name: nameOf(error),
      message,
      exitCode,
      ...(tries !== undefined && { triesLeft: tries }),
      ...(candidates.length > 0 && { candidates }),
      causes,
    },
  };
}

/**
 * The message of an error and those of its causes, without repetitions; for people also without the operating system's
 * own text, which the error above puts in words.
 */
function messages(error: unknown, all = true): string[] {
  const found: string[] = [];
  for (let link: unknown = error; link instanceof Error && found.length < 8; link = link.cause) {
    if (!all && "syscall" in link && found.length > 0) continue;
    const message = messageOf(link);
    if (message !== "" && !found.some((known) => known.includes(message))) found.push(message);
  }
  return found.length > 0 ? found : [String(error)];
}

function messageOf(error: Error): string {
  if (error instanceof CommanderError) return error.message.replace(/^error: /u, "").replaceAll("\n", " ");
  const code = "codeName" in error && typeof error.codeName === "string" ? error.codeName : undefined;
  return code !== undefined && !error.message.startsWith(code) ? `${code}: ${error.message}` : error.message;
}

function nameOf(error: unknown): string {
  if (error instanceof CommanderError) return "UsageError";
  if (!(error instanceof Error)) return "Error";
  if (error instanceof CryptokiError) return error.code;
  return "codeName" in error && typeof error.codeName === "string" ? error.codeName : error.name;
}

const candidatesOf = (error: unknown): readonly string[] => (error instanceof UsageError ? error.candidates : []);

function triesLeft(error: unknown): number | undefined {
  for (let link = error; link instanceof Error; link = link.cause) {
    if (link instanceof PinError && link.triesLeft !== undefined) return link.triesLeft;
  }
  return undefined;
}
