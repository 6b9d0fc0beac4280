import type { Command } from "commander";
import { action } from "../context.ts";
import { keyDetails, type KeyDetails } from "../input/key-details.ts";
import { examples } from "../input/options.ts";
import { fittingTokens, type Token } from "../input/token.ts";
import { dayOf, shownName } from "../output/descriptions.ts";
import { NotFoundError } from "../output/failures.ts";
import { type Environment, type Printer, visible } from "../output/printer.ts";
import { TokenSession } from "../session.ts";

export function addKeyList(key: Command, environment: Environment): void {
  const command = key
    .command("list")
    .summary("the keys on the cards")
    .description(
      "List the keys on the tokens, when they want the PIN and a touch, and their certificates. No PIN is needed.",
    )
    .argument("[uri]", "a PKCS #11 URI: only tokens that it describes")
    .addHelpText(
      "after",
      examples(
        ["cryptoki key list", "of every token that is in"],
        ["cryptoki key list --json | jq -r '.[].fingerprint'", "for a program"],
      ),
    );
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    const listed: { token: Token; keys: KeyDetails[] }[] = [];
    for (const token of await fittingTokens(context, uri)) {
      listed.push({ token, keys: await keyDetails(await TokenSession.open(context, token, uri)) });
    }
    const withKeys = listed.filter(({ keys }) => keys.length > 0);
    if (print.json)
      print.document(withKeys.flatMap(({ token, keys }) => keys.map((one) => ({ ...one, token: token.label }))));
    else for (const [index, one] of withKeys.entries()) tell(print, one.token, one.keys, index > 0);
    if (withKeys.length === 0) throw new NotFoundError("no key on the token shows itself without a login");
  });
}

function tell(print: Printer, token: Token, keys: readonly KeyDetails[], further: boolean): void {
  const { colours } = print;
  if (further) print.line();
  print.line(`${colours.bold(visible(token.label))}  ${colours.dim(visible(token.slotDescription))}`);
  const isPiv = keys.some(({ reference }) => reference !== undefined);
  print.table(
    ["ID", ...(isPiv ? ["REF"] : []), "KEY", "PIN", "TOUCH", "ORIGIN", "CERTIFICATE"],
    keys.map(({ id, reference = "", key, policy, certificate }) => [
      id,
      ...(isPiv ? [reference] : []),
      key,
      policy.pin,
      policy.touch,
      policy.origin,
      certificate ? `${shownName(certificate.subject)}, until ${dayOf(certificate.notAfter)}` : "none",
    ]),
  );
}
