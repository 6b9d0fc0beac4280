import { type Command, Option } from "commander";
import type { AgeKey, PluginUser } from "../../age/index.ts";
import { DataError } from "../../bytes/index.ts";
import { type Key, openTokens, PublicKey, type Token, TokenError, type TokenSource } from "../../tokens/index.ts";
import { action, type CommandContext } from "../context.ts";
import { examples } from "../input/options.ts";
import { PIN, readPin } from "../input/pin.ts";
import { readUri, wantsReader } from "../input/token.ts";
import { NotFoundError, UsageError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { isPinGiven } from "../session.ts";

/** The states of age's plugin protocol. */
const STATES = ["recipient-v1", "identity-v1"] as const;

interface PluginOptions {
  readonly agePlugin?: (typeof STATES)[number];
}

export function addAge(program: Command, environment: Environment): void {
  const group = program
    .command("age")
    .summary("encrypt files with age for keys on a card")
    .description(
      "List the keys of the cards for age, which encrypts files and calls the program age-plugin-cryptoki for these keys. Keys on " +
        "P-256, X25519 keys and RSA keys that decrypt can be used.",
    );
  const list = (name: "identity" | "recipient", summary: string, example: readonly [string, string]): void => {
    const command = group
      .command(name)
      .summary(summary)
      .description(`${summary[0]?.toUpperCase() ?? ""}${summary.slice(1)}, with remarks, as a file that age reads.`)
      .argument("[uri]", "a PKCS #11 URI: only tokens and keys that it matches")
      .addHelpText("after", examples(example));
    action<object, [string | undefined]>(command, environment, (context, _options, uri) =>
      listKeys(context, name, uri),
    );
  };
  list("recipient", "print the recipients, for which others encrypt", [
    "cryptoki age recipient > recipients.txt; age -R recipients.txt -o letter.age letter.txt",
    "encrypt a file",
  ]);
  list("identity", "print the identities, with which you decrypt", [
    "cryptoki age identity > identity.txt; age -d -i identity.txt letter.age",
    "decrypt a file with the card",
  ]);
  const plugin = group
    .command("plugin", { hidden: true })
    .summary("speak age's plugin protocol")
    .addOption(new Option("--age-plugin <state>", "the state machine that age wants").choices(STATES));
  action<PluginOptions>(plugin, environment, servePlugin);
}

/** The way to the cards; a list asks for no PIN. */
async function openSource(context: CommandContext, user?: PluginUser): Promise<TokenSource> {
  return context.owns(
    await openTokens({
      cryptoki: await context.cryptoki(),
      pin: async (request) => {
        if (!user || !request.key) throw new TokenError("NO_PIN_SOURCE", "no PIN is asked for to list the keys");
        const { label } = await request.token();
        const question = `PIN of ${visible(label)}`;
        if (isPinGiven(context)) return readPin({ ...PIN, question }, context.environment);
        const { entry } = await request.pinState();
        if (entry === "reader") {
          await user.tell(`Type the PIN of ${visible(label)} on the reader.`);
          return null;
        }
        const pin = await user.ask(question);
        if (pin) return pin;
        throw new TokenError("NO_PIN_SOURCE", "no PIN was given");
      },
      onTouch: ({ key }) => {
        // Without an answer age has gone, which the command notices by itself.
        user?.tell(`Touch the card to use the key ${visible(key.label)}.`).catch(() => undefined);
      },
    }),
  );
}

async function listKeys(context: CommandContext, name: "identity" | "recipient", uri?: string): Promise<void> {
  const { encodeIdentity, encodeRecipient } = await import("../../age/index.ts");
  if (uri !== undefined) readUri(uri);
  const source = await openSource(context);
  const found: { token: string; key: string; reference?: string; identity: string; recipient: string }[] = [];
  for await (const token of source.tokens(uri ?? context.options.token)) {
    const info = await token.info();
    if (!wantsReader(context, info.reader)) continue;
    for (const { key, age } of await ageKeys(token, uri)) {
      found.push({
        token: info.label,
        key: key.label,
        ...(key.reference !== undefined && { reference: key.reference }),
        identity: encodeIdentity(age),
        recipient: encodeRecipient(age),
      });
    }
  }
  if (found.length === 0)
    throw new NotFoundError("no card has a key for age: one on P-256, an X25519 key or an RSA key that decrypts");
  const { print } = context;
  if (print.json) {
    print.document(found);
    return;
  }
  for (const one of found) {
    print.line(`# Card:      ${visible(one.token)}`);
    print.line(`# Key:       ${visible(one.key)}${one.reference === undefined ? "" : ` (${one.reference})`}`);
    if (name === "identity") print.line(`# Recipient: ${one.recipient}`);
    print.line(one[name]);
  }
}

interface UsableKey {
  readonly key: Key;
  readonly age: AgeKey;
}

/** The keys of a token that decrypt or agree on secrets. */
async function ageKeys(token: Token, uri?: string): Promise<readonly UsableKey[]> {
  const { ageKey } = await import("../../age/index.ts");
  const wanted = uri === undefined ? undefined : new Set(await idsOf(token, uri));
  const found: UsableKey[] = [];
  for (const use of ["decrypt", "derive"] as const) {
    try {
      for await (const key of token.keys.find({ use })) {
        if (wanted && !wanted.has(key.id)) continue;
        const { parsed } = await key.publicKey();
        if ((parsed.type === "rsa") === (use === "decrypt")) found.push({ key, age: ageKey(parsed) });
      }
    } catch (error) {
      // A key of another type, and a token that shows its keys after a login only.
      if (!(error instanceof DataError || (error instanceof TokenError && error.is("NO_PIN_SOURCE", "NO_OBJECT"))))
        throw error;
    }
  }
  return found;
}

async function idsOf(token: Token, uri: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const key of token.keys.find(uri)) ids.push(key.id);
  return ids;
}

async function servePlugin(context: CommandContext, { agePlugin }: PluginOptions): Promise<void> {
  if (agePlugin === undefined) throw new UsageError("age starts this program by itself; see: cryptoki age identity");
  const { serveIdentities, serveRecipients, StanzaStream } = await import("../../age/index.ts");
  const { stdin, stdout } = context.environment;
  const stream = new StanzaStream(stdin, stdout);
  if (agePlugin === "recipient-v1") return serveRecipients(stream);
  const opened: { source?: TokenSource } = {};
  return serveIdentities(stream, async (identity, user) => {
    opened.source ??= await openSource(context, user);
    return findKey(opened.source, identity);
  });
}

async function findKey(source: TokenSource, { publicKey }: AgeKey): Promise<Key> {
  const wanted = PublicKey.of(publicKey);
  for await (const token of source.tokens()) {
    try {
      for await (const key of token.keys.find({ publicKey: wanted })) return key;
    } catch (error) {
      if (!(error instanceof TokenError && error.is("NO_PIN_SOURCE"))) throw error;
    }
  }
  throw new TokenError("NO_OBJECT", "no card that is in has the key of this identity; put the right one in");
}
