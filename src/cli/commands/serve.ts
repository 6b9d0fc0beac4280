import { type Command, Option } from "commander";
import { Duplex } from "node:stream";
import path from "node:path";
import { DataError } from "../../bytes/index.ts";
import {
  Cryptoki,
  CRYPTOKI_VERSIONS,
  type CryptokiFunctions,
  type Detour,
  isUri,
  type TokenDescription,
} from "../../cryptoki/index.ts";
import type { P11KitServer } from "../../p11kit/index.ts";
import { announce, type Announcement, isInBackground, startInBackground } from "../output/background.ts";
import { action, type CommandContext, openServer } from "../context.ts";
import type { Environment } from "../output/printer.ts";
import { UsageError } from "../output/failures.ts";
import { DEFAULT_CARD, examples, type GlobalOptions } from "../input/options.ts";
import { describesToken, isNamed, readUri, wantsReader } from "../input/token.ts";
import { isNewCard } from "../input/card-source.ts";

interface ServeOptions {
  readonly http?: true;
  /** NATS servers of a farm. */
  readonly farm?: string;
  /** Of --http. */
  readonly config?: string;
  /** A PKCS #11 URI: the argument, or --token. */
  readonly only?: string;
  readonly socket?: string;
  readonly stdio?: true;
  readonly foreground?: true;
  readonly maxMessage?: number;
  readonly printModuleConfig?: true;
  readonly unlockBy?: Detour;
  readonly singleSignOn?: true;
  readonly cryptokiVersion?: keyof typeof CRYPTOKI_VERSIONS;
  readonly keepPin?: boolean;
  /** Seconds. */
  readonly hold?: number;
}

/** Seconds. No other caller can use the card meanwhile. */
const LONGEST_HOLD = 60;

/** How programs without C_UnlockPIN unblock a PIN with its PUK. */
const DETOURS: readonly Detour[] = ["C_SetPIN", "C_InitPIN"];

export function addServe(program: Command, environment: Environment): void {
  const command = program
    .command("serve")
    .summary("let other programs use the cards, through p11-kit-client.so")
    .description(
      "Serve the cards to every program that loads PKCS #11 modules. Such programs load p11-kit-client.so, part of every Linux " +
        "distribution, which finds the server by the variables that this command prints. The server runs in the background, for " +
        "this user alone; with --trace it writes to this standard error, and ends when that is closed.",
    )
    .argument("[uri]", "a PKCS #11 URI: serve only tokens that it matches; the same as --token")
    .option("-f, --foreground", "stay in the foreground, until interrupted")
    .option("--socket <path>", "listen on this socket; default: a new one in the user's runtime folder")
    .option(
      "--http",
      "serve an HTTP API in place of PKCS #11, on a Unix socket or as --config says; docs/service.md describes it",
    )
    .option(
      "--config <file>",
      "the configuration of --http, JSON: where it listens, clients, PINs, limits, audit trail",
    )
    .option(
      "--farm <urls>",
      "serve the keys of a farm on these NATS servers, such as nats://host:4222; docs/farm.md describes it",
    )
    .option("--stdio", "serve one client on standard input and output, as ssh needs it")
    .option("--max-message <bytes>", "the longest request that a client may send; default: 16 MiB", parseBytes)
    .addOption(
      new Option(
        "--unlock-by <function>",
        "how programs without C_UnlockPIN unblock a PIN with its PUK: C_SetPIN with the PUK as the old PIN, " +
          "before any login; or C_InitPIN after a login as security officer with the PUK",
      ).choices(DETOURS),
    )
    .option(
      "--single-sign-on",
      "clients share the user's login: one login to a token holds for every client with a session, until the last " +
        "client closes its sessions; any program of this user may then use the keys without the PIN",
    )
    .option(
      "--keep-pin",
      "keep each client's PIN until its logout, for keys that need it before each use, such as 9C, and for programs that give it " +
        "only once, such as Java and ssh-agent; a client that is logged in then signs with such keys without a further prompt",
    )
    .option(
      "--hold <seconds>",
      "seconds to reserve the card for a client that gave the PIN for one signature but has not signed; default: 4",
      parseHold,
    )
    .addOption(
      new Option(
        "--cryptoki-version <version>",
        "the version of the standard that C_GetInfo reports to clients; default: 3.1; with 2.11, which programs that know tokens " +
          "with several PINs look for, C_GetInfo also reports 2.11 as the library version",
      ).choices(Object.keys(CRYPTOKI_VERSIONS)),
    )
    .option("--print-module-config", "print a module file for p11-kit's modules folder")
    .addHelpText(
      "after",
      examples(
        ['eval "$(cryptoki serve)"', "serve in the background, and set this shell's variables"],
        [
          'pkcs11-tool --module "$(find /usr/lib* -name p11-kit-client.so -print -quit)" -O',
          "any program, in that shell, with the path of the module",
        ],
        ['kill "$P11_KIT_SERVER_PID"', "end the server"],
        ["cryptoki serve 'pkcs11:model=PIV'", "only tokens that this URI matches"],
        ["cryptoki serve --http", "an HTTP API, for programs of any language"],
        ["ssh host cryptoki serve --stdio", "for a client on another machine"],
        [
          "cryptoki serve --print-module-config > ~/.config/pkcs11/modules/cards.module",
          "for all programs that use p11-kit",
        ],
      ),
    );
  const withUri = (context: CommandContext, options: ServeOptions, uri?: string): Promise<void> => {
    const { token } = context.options;
    if (uri !== undefined) readUri(uri);
    if (uri !== undefined && token !== undefined)
      throw new UsageError("give the URI as the argument or with --token, not both");
    const only = uri ?? token;
    const wanted = { ...options, ...(only !== undefined && { only }) };
    return options.http ? serveApi(context, wanted) : serve(context, wanted);
  };
  action<ServeOptions, [string | undefined]>(command, environment, withUri, () => true);
}

/** @throws {UsageError} if it is a malformed URI; any other text is a label, a serial number or the number of a slot. */
function requireName(only: string | undefined): void {
  if (only !== undefined && isUri(only)) readUri(only);
}

function parseBytes(text: string): number {
  const bytes = /^\d{1,10}$/u.test(text) ? Number(text) : 0;
  if (bytes < 1024 || bytes >= 2 ** 31)
    throw new UsageError("--max-message is a number of bytes, from 1024 to 2147483647");
  return bytes;
}

function parseHold(text: string): number {
  const seconds = /^\d{1,3}(\.\d{1,3})?$/u.test(text) ? Number(text) : 0;
  if (seconds <= 0 || seconds > LONGEST_HOLD)
    throw new UsageError(`--hold is a number of seconds, more than 0 and at most ${LONGEST_HOLD}`);
  return seconds;
}

function requireFittingOptions(context: CommandContext, options: ServeOptions): void {
  if (options.config !== undefined) throw new UsageError("--config is the configuration of --http");
  if (options.stdio && options.socket !== undefined) throw new UsageError("--stdio or --socket, not both");
  const ofCards = [
    ["--unlock-by", options.unlockBy],
    ["--cryptoki-version", options.cryptokiVersion],
    ["--single-sign-on", options.singleSignOn],
    ["--hold", options.hold],
    ["--keep-pin", options.keepPin],
  ] as const;
  const elsewhere =
    context.options.server !== undefined ? "--server" : options.farm !== undefined ? "--farm" : undefined;
  for (const [name, value] of ofCards) {
    if (value === undefined || elsewhere === undefined) continue;
    throw new UsageError(`${name} works with cards of this machine, not with ${elsewhere}`);
  }
  if (options.farm !== undefined && options.printModuleConfig && options.socket === undefined) {
    throw new UsageError("--print-module-config with --farm needs --socket: the address of a server that runs");
  }
}

async function serve(context: CommandContext, options: ServeOptions): Promise<void> {
  requireFittingOptions(context, options);
  const alone = options.stdio ?? (options.printModuleConfig && options.socket === undefined);
  if (options.singleSignOn && alone) {
    throw new UsageError("--single-sign-on needs a socket: with --stdio there is only one client");
  }
  requireName(options.only);
  if (options.socket !== undefined) await requirePath(options.socket);
  if (options.printModuleConfig) {
    printModuleConfig(context, options);
    return;
  }
  if (options.stdio) return serveStreams(context, options);
  const { inheritedSocket } = await import("../../p11kit/index.ts");
  const inherited = inheritedSocket(context.environment.env);
  if (options.singleSignOn && inherited !== undefined) {
    throw new UsageError(
      "--single-sign-on needs a socket that the server opens itself: it cannot know which users another program lets in",
    );
  }
  if (inherited === undefined && !options.foreground) {
    const streams = context.options.trace ? "stderr" : "none";
    tellAddress(context, await startInBackground(["--foreground"], streams, context.signal));
    return;
  }
  if (await begin(context, options, inherited)) await new Promise<never>(() => undefined);
}

/** Serves the HTTP API. @throws {UsageError} for options that are of the PKCS #11 server alone. */
async function serveApi(context: CommandContext, options: ServeOptions): Promise<void> {
  const ofModule = [
    ["--stdio", options.stdio],
    ["--print-module-config", options.printModuleConfig],
    ["--max-message", options.maxMessage],
    ["--unlock-by", options.unlockBy],
    ["--cryptoki-version", options.cryptokiVersion],
    ["--single-sign-on", options.singleSignOn],
    ["--hold", options.hold],
    ["--keep-pin", options.keepPin],
    ["a URI or --token", options.only],
    ["--farm", options.farm],
  ] as const;
  const given = ofModule.find(([, value]) => value !== undefined);
  if (given) throw new UsageError(`${given[0]} does not apply to --http`);
  const { serveHttp } = await import("./serve-http.ts");
  return serveHttp(context, options);
}

/** Listens, and prints the address. @returns Whether it does; if not, the parent process reports the error. */
async function begin(context: CommandContext, options: ServeOptions, inherited: number | undefined): Promise<boolean> {
  const start = async (): Promise<Announcement> => {
    const { address = "" } = await listen(context, options, inherited);
    return { address, pid: process.pid };
  };
  if (isInBackground(context.environment)) return announce(start);
  const announcement = await start();
  // The output of a server that systemd starts has no reader.
  if (inherited === undefined) tellAddress(context, announcement);
  return true;
}

/** @throws {UsageError} if it is a network address. */
async function requirePath(socket: string): Promise<void> {
  const { requireNoNetwork } = await import("../../p11kit/index.ts");
  try {
    requireNoNetwork(socket);
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new UsageError(`--socket: ${cause.message}`, { cause });
  }
}

async function listen(
  context: CommandContext,
  serveOptions: ServeOptions,
  inherited: number | undefined,
): Promise<P11KitServer> {
  const { defaultSocketFolder, P11KitServer } = await import("../../p11kit/index.ts");
  const { socket, maxMessage } = serveOptions;
  const options = {
    application: await applications(context, serveOptions),
    ...(maxMessage !== undefined && { messageLimit: maxMessage }),
  };
  if (inherited !== undefined) return context.owns(await P11KitServer.inherit(inherited, options));
  const { env } = context.environment;
  const file =
    socket === undefined ? path.join(defaultSocketFolder(env), `pkcs11-${process.pid}`) : path.resolve(socket);
  try {
    return context.owns(await P11KitServer.listen(file, options));
  } catch (error) {
    if (error instanceof DataError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

async function serveStreams(context: CommandContext, options: ServeOptions): Promise<void> {
  const { maxMessage } = options;
  const { serveConnection } = await import("../../p11kit/index.ts");
  const { stdin, stdout } = context.environment;
  const application = await applications(context, options);
  await serveConnection(Duplex.from({ readable: stdin, writable: stdout }), application(), {
    signal: context.signal,
    ...(maxMessage !== undefined && { messageLimit: maxMessage }),
  });
}

/** Makes an application for each client; all share the cards and the cache of their contents. */
async function applications(context: CommandContext, options: ServeOptions): Promise<() => CryptokiFunctions> {
  const { onlyTokens } = await import("../../p11kit/index.ts");
  const { reader, server } = context.options;
  const { only: token } = options;
  if (options.farm !== undefined && server !== undefined) throw new UsageError("--farm or --server, not both");
  const make =
    options.farm !== undefined
      ? await overFarm(context, options.farm)
      : server === undefined
        ? await overCards(context, options)
        : await overServer(server);
  if (token === undefined && reader === undefined) return make;
  const uri = token !== undefined && isUri(token) ? readUri(token) : {};
  const name = token !== undefined && !isUri(token) ? token : undefined;
  // Each call of a client asks for this, and the answer may cost exchanges.
  const answers = new Map<string, boolean>();
  const isWanted = async (found: TokenDescription): Promise<boolean> => {
    if (!wantsReader(context, found.slotDescription)) return false;
    const key = JSON.stringify(found);
    const named = name === undefined || isNamed(found, name);
    const wanted = answers.get(key) ?? (named && (await describesToken(context, uri, found)));
    answers.set(key, wanted);
    return wanted;
  };
  return () => onlyTokens(make(), isWanted);
}

/** Bits of a CK_ULONG in C programs of this machine: as many as a pointer has, except on Windows. */
const ULONG_BITS: 32 | 64 =
  process.platform === "win32" || ["arm", "ia32", "mips", "mipsel"].includes(process.arch) ? 32 : 64;

async function overCards(
  context: CommandContext,
  { unlockBy, cryptokiVersion, singleSignOn, hold, keepPin = false }: ServeOptions,
): Promise<() => CryptokiFunctions> {
  const pcsc = await context.pcsc();
  const held = hold === undefined ? {} : { hold: 1000 * hold };
  const { slots } = new Cryptoki({ pcsc, profiles: context.profiles, ...context.cardOptions, ...held });
  const options = {
    slots,
    keepPin,
    ...context.applicationOptions,
    ...context.callTrace,
    ulongBits: ULONG_BITS,
    ...(unlockBy && { unlockBy: [unlockBy] }),
    ...(singleSignOn && { singleSignOn }),
    ...(cryptokiVersion && { version: CRYPTOKI_VERSIONS[cryptokiVersion] }),
  };
  return () => new Cryptoki(options);
}

/** Clients share the connection to the farm; each is an application of its own. */
async function overFarm(context: CommandContext, servers: string): Promise<() => CryptokiFunctions> {
  const { CardFarm } = await import("../../farm/index.ts");
  const farm = context.owns(new CardFarm({ servers }));
  await farm.connect();
  const options = { slots: farm.slots, ...context.callTrace, ulongBits: ULONG_BITS };
  return () => new Cryptoki(options);
}

async function overServer(address: string): Promise<() => CryptokiFunctions> {
  // Parses the address now, to report a wrong one before the server starts.
  await openServer(address);
  const { P11KitModule } = await import("../../p11kit/index.ts");
  return () => new P11KitModule({ address });
}

function tellAddress({ print }: CommandContext, { address, pid }: Announcement): void {
  if (print.json) {
    print.documentLine({ address, pid });
    return;
  }
  print.line(`export P11_KIT_SERVER_ADDRESS=${shellWord(address)}`);
  print.line(`export P11_KIT_SERVER_PID=${pid}`);
}

/** Quotes text for a POSIX shell where it needs quotes. */
const shellWord = (text: string): string => (/^[\w%./:=-]*$/u.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** An absolute path: p11-kit starts the command in any folder. */
const absoluteCard = (card: string): string => (isNewCard(card) ? card : path.resolve(card));

/** With --socket a server runs already, and takes its own options. @throws {UsageError} if there is one here. */
function refuseIdle([idle]: readonly string[]): void {
  if (idle === undefined) return;
  const option = idle.replace(/=.*/u, "");
  throw new UsageError(
    `${option} says how a server is started; with --socket, programs use one that runs: give ${option} to that server`,
  );
}

/** The options that choose among the cards, or say how they are used. */
function filtersOf({ reader, patience, verifyResults, cache }: GlobalOptions, token: string | undefined): string[] {
  return [
    ...(token === undefined ? [] : ["--token", token]),
    ...(reader === undefined ? [] : ["--reader", reader]),
    ...(patience === undefined ? [] : ["--patience", `${patience}`]),
    ...(verifyResults === undefined ? [] : ["--verify-results", verifyResults]),
    ...(cache === undefined ? [] : ["--cache"]),
  ];
}

/**
 * p11-kit's module file (pkcs11.conf(5)): the address of the running server, or the command that p11-kit starts for
 * each program.
 */
function printModuleConfig({ print, options: globals }: CommandContext, options: ServeOptions): void {
  const { virtual, server, transport } = globals;
  const { socket, maxMessage, unlockBy, cryptokiVersion, hold, keepPin, only: token } = options;
  const cards = [
    ...(virtual === undefined ? [] : [`--virtual=${virtual === true ? DEFAULT_CARD : absoluteCard(virtual)}`]),
    ...(server === undefined ? [] : ["--server", server]),
    ...(transport === "auto" ? [] : ["--transport", transport]),
  ];
  const filters = filtersOf(globals, token);
  const more = [
    ...(maxMessage === undefined ? [] : ["--max-message", `${maxMessage}`]),
    ...(unlockBy === undefined ? [] : ["--unlock-by", unlockBy]),
    ...(cryptokiVersion === undefined ? [] : ["--cryptoki-version", cryptokiVersion]),
    ...(hold === undefined ? [] : ["--hold", `${hold}`]),
    ...(keepPin ? ["--keep-pin"] : []),
  ];
  const program = [process.execPath, ...process.execArgv, process.argv[1] ?? "cryptoki"];
  const words = [...program, ...cards, ...filters, "serve", "--stdio", ...more];
  if (socket !== undefined) refuseIdle([...cards, ...filters, ...more]);
  const remote = socket === undefined ? `|${words.map(shellWord).join(" ")}` : `unix:path=${path.resolve(socket)}`;
  if (/[\r\n\0]/u.test(remote)) {
    throw new UsageError(
      "--print-module-config takes no value with a line break: each line of the module file is an entry",
    );
  }
  const lines = ["# Smart cards, by cryptoki", `remote: ${remote}`];
  if (print.json) print.document({ config: `${lines.join("\n")}\n` });
  else for (const line of lines) print.line(line);
}
