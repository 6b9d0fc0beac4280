import { Command, CommanderError } from "commander";
import { Deadline, untilAborted } from "../async/index.ts";
import { nearestTo } from "../bytes/index.ts";
import { addAge } from "./commands/age.ts";
import { addAgent } from "./commands/agent.ts";
import { addApdu } from "./commands/apdu.ts";
import { addAudit } from "./commands/audit.ts";
import { addCard } from "./commands/card.ts";
import { addCertificate } from "./commands/certificate.ts";
import { addCompletion, addMan } from "./commands/completion.ts";
import { addDkek } from "./commands/dkek.ts";
import { addDecrypt } from "./commands/decrypt.ts";
import { addDelete } from "./commands/delete.ts";
import { addDemo } from "./commands/demo.ts";
import { addDerive } from "./commands/derive.ts";
import { addEncrypt } from "./commands/encrypt.ts";
import { addGitSign } from "./commands/git-sign.ts";
import { addHash } from "./commands/hash.ts";
import { addImport } from "./commands/import.ts";
import { addKey } from "./commands/key.ts";
import { addObject } from "./commands/object.ts";
import { addMechanisms } from "./commands/mechanisms.ts";
import { addObjects } from "./commands/objects.ts";
import { addPin } from "./commands/pin.ts";
import { addPuk } from "./commands/puk.ts";
import { addRandom } from "./commands/random.ts";
import { addRead } from "./commands/read.ts";
import { addReaders } from "./commands/readers.ts";
import { addSelfTest } from "./commands/self-test.ts";
import { addServe } from "./commands/serve.ts";
import { addWork } from "./commands/work.ts";
import { addSign } from "./commands/sign.ts";
import { addSo } from "./commands/so.ts";
import { addToken } from "./commands/token.ts";
import { addTokens } from "./commands/tokens.ts";
import { addVerify } from "./commands/verify.ts";
import { addVirtual } from "./commands/virtual.ts";
import { addWait } from "./commands/wait.ts";
import { addGlobalOptions, completeVirtual, examples } from "./input/options.ts";
import { EXIT, FileError, TimeoutError, UsageError } from "./output/failures.ts";
import { coloursFor, type Environment, written } from "./output/printer.ts";
import { report } from "./output/report.ts";
import { helpWidth } from "./output/terminal.ts";
import { programVersion } from "./version.ts";

const EXIT_CODES = `
Exit codes:
  0  done; for verify: the signature is valid
  1  it failed; for verify: the signature is not valid
  2  the command line is wrong, or matches more than one reader, token or object
  3  no smart-card service, reader, card, token or object that matches
  4  the PIN is wrong, blocked, of the wrong length, or missing
  5  for card doctor: the card has a defect
  130, 143, 129  ended by SIGINT, SIGTERM, SIGHUP

Environment:
  CRYPTOKI_PIN           the PIN, if --pin-source does not say where it is
  CRYPTOKI_NEW_PIN       the PIN to be set, and CRYPTOKI_PUK the PUK, of pin change and pin unlock
  CRYPTOKI_NEW_PUK       the PUK to be set, of puk change and pin retries
  CRYPTOKI_SO_PIN        the SO PIN or management key, wherever --so is, and of so change, pin retries and key move
  CRYPTOKI_NEW_SO_PIN    the one to be set, of so change
  CRYPTOKI_KEY_PASSWORD  the password of a file with a private key, of key import
  CRYPTOKI_SHARE_PASSWORD  the password of a DKEK share, of dkek create and dkek import
  CRYPTOKI_DEBUG         set: errors with their stack
  NO_COLOR, FORCE_COLOR  colours never, or always
  PCSCLITE_CSOCK_NAME    pcscd's socket, if not the usual one
  XDG_CACHE_HOME         its folder cryptoki keeps the command's compiled code; otherwise ~/.cache
`;

/** In the order in which the help lists them. */
const COMMANDS: Readonly<Record<string, (program: Command, environment: Environment) => void>> = {
  demo: addDemo,
  readers: addReaders,
  tokens: addTokens,
  objects: addObjects,
  read: addRead,
  sign: addSign,
  verify: addVerify,
  encrypt: addEncrypt,
  decrypt: addDecrypt,
  derive: addDerive,
  import: addImport,
  delete: addDelete,
  random: addRandom,
  hash: addHash,
  mechanisms: addMechanisms,
  wait: addWait,
  "self-test": addSelfTest,
  key: addKey,
  certificate: addCertificate,
  object: addObject,
  pin: addPin,
  puk: addPuk,
  so: addSo,
  token: addToken,
  card: addCard,
  dkek: addDkek,
  apdu: addApdu,
  serve: addServe,
  work: addWork,
  audit: addAudit,
  agent: addAgent,
  age: addAge,
  "git-sign": addGitSign,
  virtual: addVirtual,
  completion: addCompletion,
  man: addMan,
};

/** Commands that show others, which are all made then. */
const OF_ALL: readonly string[] = ["help", "completion", "man"];

/**
 * The program with its commands.
 * @param args The command line: if it has names of commands, these are enough. Default: every command.
 */
export function createProgram(environment: Environment, args: readonly string[] = []): Command {
  const { stdout, stderr, env } = environment;
  const colours = coloursFor(stdout, env);
  const program = new Command("cryptoki")
    .description("Smart cards as PKCS #11 tokens: list them, sign, decrypt, and see every exchange with a card.")
    .version(programVersion(), "-V, --version")
    .exitOverride()
    .configureOutput({
      writeOut: (text) => void stdout.write(text),
      writeErr: (text) => void stderr.write(text),
      // Errors are reported in one place, for people or as JSON.
      outputError: () => undefined,
      getOutHelpWidth: () => helpWidth(stdout),
      getErrHelpWidth: () => helpWidth(stderr),
      getOutHasColors: () => colours.isColorSupported,
      getErrHasColors: () => coloursFor(stderr, env).isColorSupported,
    })
    .configureHelp({ showGlobalOptions: true, styleTitle: (title) => colours.bold(title) })
    .addHelpText(
      "after",
      examples(
        ["cryptoki demo", "all steps, on a virtual card"],
        ["cryptoki tokens", "the cards that are present"],
        ["cryptoki sign --id 01 letter.txt --output letter.sig", "sign a file"],
        ["cryptoki --virtual objects", "any command, on a virtual card"],
      ) + EXIT_CODES,
    );
  addGlobalOptions(program);
  const named = Object.keys(COMMANDS).filter((name) => args.includes(name));
  const wanted = named.length > 0 && !OF_ALL.some((name) => args.includes(name)) ? named : Object.keys(COMMANDS);
  for (const name of wanted) COMMANDS[name]?.(program, environment);
  refuseUnknownCommands(program);
  return program;
}

/** Makes an unknown name of a command an error, also beside --help and after "help". */
function refuseUnknownCommands(program: Command): void {
  for (const group of [program, ...program.commands]) {
    if (group.commands.length === 0) continue;
    group.on("command:*", ([name = ""]: readonly string[]) => {
      throw unknownCommand(group, program, name);
    });
  }
  program.on("beforeAllHelp", ({ command }: { readonly command: Command }) => {
    const [first, second] = command.args;
    const name = first === "help" ? second : first;
    if (name === undefined || name.startsWith("-") || command.commands.length === 0) return;
    if (!command.commands.some((one) => one.name() === name)) throw unknownCommand(command, program, name);
  });
}

function unknownCommand(group: Command, program: Command, name: string): UsageError {
  const names = group === program ? Object.keys(COMMANDS) : group.commands.map((command) => command.name());
  const nearest = nearestTo(name, names);
  const owner = group === program ? "cryptoki" : `cryptoki ${group.name()}`;
  const rest = nearest.length > 0 ? `did you mean ${nearest.join(" or ")}?` : `it has ${names.join(", ")}`;
  return new UsageError(`${owner} has no command "${name}"; ${rest}`);
}

/** The package's version: the package's folder is two levels above both the source and the built file. */
/** Milliseconds for the last output of a cancelled command whose output is read slowly. */
const LAST_WORDS = 200;

/**
 * Runs one command line.
 * @param args The arguments after the program's name.
 * @returns The exit code. Resources are closed as far as possible and every error is reported; it never rejects.
 */
export async function run(args: readonly string[], environment: Environment): Promise<number> {
  const { signal } = environment;
  let code: number = EXIT.OK;
  let gaveUp = false;
  try {
    await outcome(args, environment);
  } catch (error) {
    code = exitCode(error, args, environment);
    gaveUp = error instanceof TimeoutError;
  }
  const told = written(environment);
  if (gaveUp) await lastWords(told);
  else await untilAborted(told, signal).catch(() => lastWords(told));
  // A stream can fail after the command's end, for example on a full disk.
  const { reason } = signal as { readonly reason: unknown };
  return code === EXIT.OK && reason instanceof FileError ? exitCode(reason, args, environment) : code;
}

async function outcome(args: readonly string[], environment: Environment): Promise<void> {
  const program = createProgram(environment, args);
  const names = Object.keys(COMMANDS);
  const help = { isError: false };
  program.on("beforeAllHelp", ({ error }: { readonly error: boolean }) => {
    help.isError = error;
  });
  try {
    await program.parseAsync(completeVirtual(args, names), { from: "user" });
  } catch (error) {
    // Commander ends --help and --version this way too; with "help" it takes the exit code that the process has so far.
    const isHelp = error instanceof CommanderError && (error.exitCode === 0 || error.code === "commander.help");
    if (!isHelp || help.isError) throw error;
  }
}

function exitCode(error: unknown, args: readonly string[], environment: Environment): number {
  // For a command group without its command, commander has printed the help.
  if (error instanceof CommanderError && error.code === "commander.help") return EXIT.USAGE;
  return report(error, environment, args.includes("--json"));
}

async function lastWords(told: Promise<void>): Promise<void> {
  await new Deadline(LAST_WORDS).race(told, () => undefined).catch(() => undefined);
}
