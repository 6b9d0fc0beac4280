import { type Command, Option } from "commander";
import { toHex } from "../../bytes/index.ts";
import { CryptokiError, formatUri, objectUri, tokenUri } from "../../cryptoki/index.ts";
import { action, type CommandContext } from "../context.ts";
import { examples } from "../input/options.ts";
import { findSelected, readSelection, type SelectionOptions } from "../input/selection.ts";
import { listTokens, selectTokens, wantsReader } from "../input/token.ts";
import { UsageError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

interface WaitOptions extends SelectionOptions {
  readonly for?: "card" | "token" | "key";
}

/** What came: a sentence for people, and a document. */
interface Arrival {
  readonly text: string;
  readonly document: object;
}

export function addWait(program: Command, environment: Environment): void {
  const command = program
    .command("wait")
    .summary("wait for a card, a token or a key")
    .description(
      "Wait until a card is in a reader, a token is there, or a token shows a key; return at once if it is there already. A key is " +
        "found by its CKA_ID or label, also by those of its certificate, without a PIN. --timeout says how long; the exit code is 1 then.",
    )
    .argument("[uri]", "a PKCS #11 URI of the token, the key, or both")
    .addOption(
      new Option("--for <what>", "what to wait for; default: token, or key with --id or --label").choices([
        "card",
        "token",
        "key",
      ]),
    )
    .option("--id <hex>", "the key's CKA_ID")
    .option("--label <text>", "the key's CKA_LABEL")
    .addHelpText(
      "after",
      examples(
        ["cryptoki wait && cryptoki sign letter.txt", "sign once a token is there"],
        ["cryptoki wait --for card --reader Virtual --timeout 30", "any card in a reader, for 30 seconds at most"],
        ["cryptoki wait --id 01 --json | jq -r .uri", "a key, whichever card has it"],
      ),
    );
  action<WaitOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const arrived = await arrival(context, options, uri);
    context.print.done(arrived.text, arrived.document);
  });
}

async function arrival(context: CommandContext, options: WaitOptions, uri?: string): Promise<Arrival> {
  const selection = readSelection(options, uri);
  const named = selection.id !== undefined || selection.label !== undefined;
  const { for: what = named ? "key" : "token" } = options;
  if (named && what !== "key") throw new UsageError(`--id, --label and an object's URI name a key, not a ${what}`);
  if (!named && what === "key") throw new UsageError("say which key: --id, --label or a URI");
  const { signal } = context;
  const pcsc = await context.pcsc();
  for await (const states of pcsc.changes({ signal })) {
    const readers = states.filter(({ name, present }) => present && wantsReader(context, name));
    const [reader] = readers;
    if (!reader) continue;
    if (what === "card") {
      return { text: `A card is in ${reader.name}.`, document: { reader: reader.name, atr: toHex(reader.atr) } };
    }
    const found = await orNothing(() => tokenOrKey(context, selection, what, uri));
    if (found) return found;
  }
  throw new UsageError("the readers report no changes");
}

/** A card that cannot be used is one that has not come. */
async function orNothing<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CryptokiError) return undefined;
    throw error;
  }
}

async function tokenOrKey(
  context: CommandContext,
  selection: ReturnType<typeof readSelection>,
  what: "token" | "key",
  uri?: string,
): Promise<Arrival | undefined> {
  for (const token of await selectTokens(context, await listTokens(context), uri)) {
    if (what === "token") {
      const document = { token: token.label, reader: token.slotDescription, uri: formatUri(tokenUri(token)) };
      return { text: `${visible(token.label)} is in ${token.slotDescription}.`, document };
    }
    const session = await TokenSession.open(context, token, uri);
    const [object] = await findSelected(session, {
      ...(selection.id && { id: selection.id }),
      ...(selection.label !== undefined && { label: selection.label }),
    });
    if (!object) continue;
    const id = toHex(object.id);
    const document = { token: token.label, id, label: object.label, uri: formatUri(objectUri(token, object)) };
    return { text: `Key ${id} is on ${visible(token.label)}.`, document };
  }
  return undefined;
}
