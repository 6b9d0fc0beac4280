import { type Command, Option } from "commander";
import path from "node:path";
import { memoizeAsync } from "../../async/index.ts";
import { copySecret, wipe } from "../../bytes/index.ts";
import type { AgentServer, CardKeys } from "../../ssh-agent/index.ts";
import {
  openTokens,
  type PinRequest,
  type PinSource,
  rememberPin,
  TokenError,
  type TokenInfo,
} from "../../tokens/index.ts";
import { action, type CommandContext } from "../context.ts";
import { chooseDialogs, type DialogChoice, type Dialogs, DIALOGS } from "../input/dialogs.ts";
import { examples } from "../input/options.ts";
import { parsePinSource, PIN, readPin } from "../input/pin.ts";
import { describesToken, isNamed, readUri, wantsReader } from "../input/token.ts";
import { announce, type Announcement, isInBackground, startInBackground } from "../output/background.ts";
import { UsageError } from "../output/failures.ts";
import type { Environment } from "../output/printer.ts";
import { isPinGiven } from "../session.ts";

interface AgentOptions {
  readonly socket?: string;
  readonly foreground?: true;
  readonly confirm?: true;
  readonly allowSha1?: true;
  readonly ask: DialogChoice;
  /** Seconds. */
  readonly rememberPin?: number;
}

/** How often a wrong PIN is asked for again in one request. */
const QUESTIONS = 3;
const LONGEST_MEMORY = 7 * 86_400;

export function addAgent(program: Command, environment: Environment): void {
  const command = program
    .command("agent")
    .summary("let ssh and git use the keys of cards, as ssh-agent does")
    .description(
      "Serve the keys of all cards to ssh, git and other programs that know ssh-agent. Cards may come and go. The agent runs in the " +
        "background, for this user alone, and prints the variables for a shell. It asks for the PIN when a key is used for the first time.",
    )
    .argument("[uri]", "a PKCS #11 URI: serve only tokens that it matches; the same as --token")
    .option("-f, --foreground", "stay in the foreground, until interrupted")
    .option("--socket <path>", "listen on this socket; default: cryptoki/agent.sock in the user's runtime folder")
    .option("--confirm", "ask before each use of a key")
    .addOption(
      new Option(
        "--ask <how>",
        "how the PIN is asked for; auto: on the terminal, by the program of SSH_ASKPASS, or by pinentry",
      )
        .choices(DIALOGS)
        .default("auto"),
    )
    .option(
      "--remember-pin <seconds>",
      "keep the PIN in memory this long, for keys that need it before each use, such as 9C",
      parseSeconds,
    )
    .option("--allow-sha1", "sign with RSA and SHA-1 for servers that know nothing better")
    .addHelpText(
      "after",
      examples(
        ['eval "$(cryptoki agent)"', "start the agent, and set this shell's variables"],
        ["ssh-add -L", "the keys of the cards, as authorized_keys has them"],
        ["ssh me@host", "log in with a card"],
        ["ssh-add -c -s cryptoki", "ask before each use of the keys that are in now"],
        ["ssh-add -h me@host -s cryptoki", "allow the keys for this host only"],
        ["ssh-add -D", "end the logins to the cards"],
        ['kill "$SSH_AGENT_PID"', "end the agent"],
      ),
    );
  action<AgentOptions, [string | undefined]>(command, environment, runAgent, () => true);
}

function parseSeconds(text: string): number {
  const seconds = /^\d{1,6}$/u.test(text) ? Number(text) : 0;
  if (seconds < 1 || seconds > LONGEST_MEMORY)
    throw new UsageError(`--remember-pin is a number of seconds, from 1 to ${LONGEST_MEMORY}`);
  return seconds;
}

async function runAgent(context: CommandContext, options: AgentOptions, uri?: string): Promise<void> {
  const { token } = context.options;
  if (uri !== undefined && token !== undefined)
    throw new UsageError("give the URI as the argument or with --token, not both");
  if (uri !== undefined) readUri(uri);
  const { inheritedSocket } = await import("../../sockets/index.ts");
  const inherited = inheritedSocket(context.environment.env);
  if (inherited !== undefined && options.socket !== undefined)
    throw new UsageError("systemd gives the socket: leave --socket out");
  if (inherited === undefined && !options.foreground) {
    const streams = context.options.trace ? "stderr" : "none";
    printVariables(context, await startInBackground(["--foreground"], streams, context.signal));
    return;
  }
  const start = async (): Promise<Announcement> => {
    const socket = await listen(context, options, uri ?? token, inherited);
    return { address: socket, pid: process.pid };
  };
  if (isInBackground(context.environment)) {
    if (!(await announce(start))) return;
  } else {
    const announcement = await start();
    // The output of an agent that systemd starts has no reader.
    if (inherited === undefined) printVariables(context, announcement);
  }
  await new Promise<never>(() => undefined);
}

/** Begins to serve. @returns The path of the socket; empty for one of systemd's. */
async function listen(
  context: CommandContext,
  options: AgentOptions,
  only: string | undefined,
  inherited: number | undefined,
): Promise<string> {
  const { AgentServer, SshAgent } = await import("../../ssh-agent/index.ts");
  const { defaultSocketFolder, SocketError } = await import("../../sockets/index.ts");
  const dialogs = chooseDialogs(options.ask, context.environment);
  const agent = new SshAgent({
    keys: await openKeys(context, options, only, dialogs),
    confirm: options.confirm ?? false,
    allowSha1: options.allowSha1 ?? false,
    askConfirmation: ({ comment, fingerprint, signal }) =>
      dialogs.confirm(`Allow the use of key ${comment}?\nKey fingerprint ${fingerprint}.`, signal),
    onRefusal: (reason) => {
      context.warn(reason);
    },
  });
  const serverOptions = {
    agent,
    onError: (error: unknown): void => {
      context.warn(error instanceof Error ? error.message : String(error));
    },
  };
  if (inherited !== undefined) {
    context.owns<AgentServer>(await AgentServer.inherit(inherited, serverOptions));
    return "";
  }
  const { env } = context.environment;
  const socket = path.resolve(options.socket ?? path.join(defaultSocketFolder(env), "agent.sock"));
  try {
    context.owns(await AgentServer.listen(socket, serverOptions));
  } catch (error) {
    if (error instanceof SocketError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
  return socket;
}

async function openKeys(
  context: CommandContext,
  options: AgentOptions,
  only: string | undefined,
  dialogs: Dialogs,
): Promise<CardKeys> {
  const { CardKeys } = await import("../../ssh-agent/index.ts");
  const asked = pinSource(context, dialogs);
  const remembered =
    options.rememberPin === undefined ? undefined : rememberPin(asked, { milliseconds: 1000 * options.rememberPin });
  const pin = remembered ?? asked;
  const forgetPins = (): void => remembered?.[Symbol.dispose]();
  context.owns({
    [Symbol.asyncDispose]: () => {
      forgetPins();
      return Promise.resolve();
    },
  });
  const source = await openTokens({
    cryptoki: await context.cryptoki(),
    // A list of the keys is no reason to ask for a PIN.
    pin: (request) => {
      if (request.key) return pin(request);
      throw new TokenError("NO_PIN_SOURCE", "no PIN is asked for to list the keys");
    },
    onTouch: ({ key, done }) => {
      dialogs.notify(`Touch the card to use the key ${key.label}.`, done);
    },
  });
  context.owns(source);
  return context.owns(
    new CardKeys({
      source,
      pin,
      accepts: (token) => isServed(context, token, only),
      questions: isPinGiven(context) ? 1 : QUESTIONS,
      forgetPins,
    }),
  );
}

/** The PIN of the command line or the environment, which is read once; else the user's. */
function pinSource(context: CommandContext, dialogs: Dialogs): PinSource {
  if (!isPinGiven(context)) return (request) => askForPin(dialogs, request);
  const { pinSource: option } = context.options;
  const given = memoizeAsync(() =>
    readPin(
      { ...PIN, question: "PIN", ...(option !== undefined && { source: parsePinSource(option) }) },
      context.environment,
    ),
  );
  context.owns({
    [Symbol.asyncDispose]: async () => {
      if (given.known) wipe(await given().catch(() => new Uint8Array()));
    },
  });
  return async () => copySecret(await given());
}

async function askForPin(dialogs: Dialogs, request: PinRequest): Promise<Uint8Array | null> {
  const { label } = await request.token();
  const { status, entry } = await request.pinState();
  const name = request.key === undefined ? "" : `, for the key ${request.key.label}`;
  if (entry === "reader") {
    if (request.signal) dialogs.notify(`Type the PIN of ${label} on the reader${name}.`, request.signal);
    return null;
  }
  const isLast = status === "final-try" ? "This is the last try before it is blocked." : undefined;
  const problem = request.again ? ["Wrong PIN.", ...(isLast === undefined ? [] : [isLast])].join(" ") : isLast;
  return dialogs.askPin(`PIN of ${label}${name}`, problem, request.signal);
}

/** Whether --reader and the URI, or another name, describe the token. */
async function isServed(context: CommandContext, token: TokenInfo, only: string | undefined): Promise<boolean> {
  if (!wantsReader(context, token.reader)) return false;
  if (only === undefined) return true;
  const { slot: slotID, reader: slotDescription, label, manufacturerID, model, serialNumber } = token;
  const found = { slotID, slotDescription, slotManufacturerID: "", label, manufacturerID, model, serialNumber };
  return only.startsWith("pkcs11:") ? describesToken(context, readUri(only), found) : isNamed(found, only);
}

/** As ssh-agent -s prints them. */
function printVariables({ print }: CommandContext, { address, pid }: Announcement): void {
  if (print.json) {
    print.documentLine({ socket: address, pid });
    return;
  }
  const socket = /^[\w%./:=-]*$/u.test(address) ? address : `'${address.replaceAll("'", "'\\''")}'`;
  print.line(`SSH_AUTH_SOCK=${socket}; export SSH_AUTH_SOCK;`);
  print.line(`SSH_AGENT_PID=${pid}; export SSH_AGENT_PID;`);
  print.line(`echo Agent pid ${pid};`);
}
