import type { Command } from "commander";
import type { PinStatus } from "../../card/index.ts";
import { formatUri, tokenUri } from "../../cryptoki/index.ts";
import { onCardToken } from "../card-token.ts";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";
import type { Cell, Printer } from "../output.ts";
import { listTokens, noToken, selectTokens, type Token } from "../token.ts";

export function addPinStatus(pin: Command, environment: Environment): void {
  const command = pin
    .command("status")
    .summary("how many tries each PIN has left")
    .description("Show how many tries the PIN of each token has left. This spends none.")
    .argument("[uri]", "a PKCS #11 URI: only tokens that it describes")
    .addHelpText(
      "after",
      examples(
        ["cryptoki pin status", "of every token that is in"],
        ["cryptoki pin status --json | jq '.[].user.triesLeft'", "for a program"],
      ),
    );
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    const all = await listTokens(context);
    const found: { token: Token; status: PinStatus }[] = [];
    for (const token of await selectTokens(context, all, uri)) {
      // With the number of tries, for which PKCS #11 has only flags. Costs no try.
      const status = await onCardToken(context, token, all, (cardToken) => cardToken.pinStatus("user", true));
      found.push({ token, status });
    }
    if (print.json) print.document(found.map(({ token, status }) => document(token, status)));
    else if (found.length > 0) {
      print.table(
        ["TOKEN", { heading: "TRIES LEFT", align: "right" }, "", "READER"],
        found.map(({ token, status }) => [token.label, tries(status), judgement(print, status), token.slotDescription]),
      );
    }
    if (found.length === 0) throw await noToken(context, uri);
  });
}

/** A token's PIN as `--json` prints it; triesLeft and maxTries are null where the card does not tell. */
function document(token: Token, { triesLeft, maxTries, isSet = true }: PinStatus): object {
  return {
    label: token.label,
    reader: token.slotDescription,
    user: { set: isSet, triesLeft: triesLeft ?? null, maxTries: maxTries ?? null, blocked: triesLeft === 0 },
    uri: formatUri(tokenUri(token)),
  };
}

function tries({ triesLeft, maxTries }: PinStatus): string {
  if (triesLeft === undefined) return "not told";
  return maxTries === undefined ? String(triesLeft) : `${triesLeft} of ${maxTries}`;
}

function judgement({ colours }: Printer, { triesLeft, maxTries, isSet = true }: PinStatus): Cell {
  if (!isSet) return { styled: colours.red("no PIN is set") };
  if (triesLeft === undefined) return "";
  if (triesLeft === 0) return { styled: colours.red("blocked; with the PUK: cryptoki pin unlock") };
  if (triesLeft === 1) return { styled: colours.red("one more wrong PIN blocks it") };
  if (maxTries === undefined) return "";
  return { styled: triesLeft < maxTries ? colours.yellow("a wrong PIN was given before") : colours.green("ok") };
}
