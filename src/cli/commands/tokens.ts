import type { Command } from "commander";
import { flagNames, formatUri, tokenUri } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { type Cell, type Environment, type Printer, visible } from "../output/printer.ts";
import { examples } from "../input/options.ts";
import { listTokens, noToken, pinState, selectTokens, type Token } from "../input/token.ts";

export function addTokens(program: Command, environment: Environment): void {
  const command = program
    .command("tokens")
    .summary("list the cards as PKCS #11 tokens")
    .description("List the tokens in the readers: one for each PIN of each card. No PIN is needed.")
    .argument("[uri]", "a PKCS #11 URI: only tokens that it matches")
    .addHelpText(
      "after",
      examples(
        ["cryptoki tokens", "every token present"],
        ["cryptoki tokens --json | jq -r '.[].uri'", "their URIs, for other commands"],
        ["cryptoki tokens 'pkcs11:model=PIV'", "PIV cards only"],
      ),
    );
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    const tokens = await selectTokens(context, await listTokens(context), uri);
    if (print.json) print.document(tokens.map(tokenDocument));
    else for (const [index, token] of tokens.entries()) tell(print, token, index > 0);
    if (tokens.length === 0) throw await noToken(context, uri);
  });
}

/** A token as `--json` prints it. */
function tokenDocument(token: Token): object {
  const { label, manufacturerID, model, serialNumber, slotID, slotDescription, flags } = token;
  return {
    label,
    manufacturer: manufacturerID,
    model,
    serialNumber,
    slot: slotID,
    reader: slotDescription,
    pin: pinState(flags),
    pinLength: { min: token.minPinLength, max: token.maxPinLength },
    flags: flagNames("CKF_TOKEN", flags),
    uri: formatUri(tokenUri(token)),
  };
}

function tell(print: Printer, token: Token, further: boolean): void {
  const { colours } = print;
  if (further) print.line();
  print.line(token.label === "" ? colours.dim("(no label)") : colours.bold(visible(token.label)));
  print.pairs(
    [
      ["reader", token.slotDescription],
      ["model", [token.model, token.manufacturerID].filter(Boolean).join(", ")],
      ["serial number", token.serialNumber],
      ["PIN", pinWords(print, token)],
      ["URI", formatUri(tokenUri(token))],
    ],
    "  ",
  );
}

function pinWords({ colours }: Printer, { flags, minPinLength, maxPinLength }: Token): Cell {
  const length = minPinLength === maxPinLength ? `${minPinLength}` : `${minPinLength} to ${maxPinLength}`;
  switch (pinState(flags)) {
    case "ok":
      return `${length} characters`;
    case "count low":
      return { styled: colours.yellow("the last PIN was wrong") };
    case "final try":
      return { styled: colours.red("one try left") };
    case "locked":
      return { styled: colours.red("blocked") };
    case "not set":
      return { styled: colours.yellow("not set yet") };
    case "not initialised":
      return { styled: colours.yellow("the card is not initialised") };
  }
}
