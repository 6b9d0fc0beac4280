import type { Command } from "commander";
import { type CK_MECHANISM_INFO, flagNames, formatUri, nameOf, tokenUri } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { examples } from "../input/options.ts";
import { fittingTokens, type Token } from "../input/token.ts";
import { type Environment, type Printer, visible } from "../output/printer.ts";

interface Listed {
  /** "CKM_SHA256_RSA_PKCS"; the number in hexadecimal of one that the standard does not name. */
  readonly name: string;
  readonly info: CK_MECHANISM_INFO;
}

export function addMechanisms(program: Command, environment: Environment): void {
  const command = program
    .command("mechanisms")
    .summary("what the tokens compute")
    .description(
      "List the mechanisms of the tokens: what each computes, whether the card does it, and the sizes of keys: bits, for AES bytes. " +
        "No PIN is needed.",
    )
    .argument("[uri]", "a PKCS #11 URI: only tokens that it matches")
    .addHelpText(
      "after",
      examples(
        ["cryptoki mechanisms", "of every token that is in"],
        ["cryptoki mechanisms --json | jq -r '.[].mechanisms[].name'", "the names, for a program"],
      ),
    );
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    const cryptoki = await context.cryptoki();
    const listed: { token: Token; mechanisms: Listed[] }[] = [];
    for (const token of await fittingTokens(context, uri)) {
      const mechanisms: Listed[] = [];
      for (const type of await cryptoki.C_GetMechanismList(token.slotID)) {
        mechanisms.push({ name: mechanismName(type), info: await cryptoki.C_GetMechanismInfo(token.slotID, type) });
      }
      listed.push({ token, mechanisms });
    }
    if (print.json) print.document(listed.map(document));
    else for (const [index, one] of listed.entries()) tell(print, one.token, one.mechanisms, index > 0);
  });
}

const mechanismName = (type: number): string => nameOf("CKM", type);

function document({ token, mechanisms }: { readonly token: Token; readonly mechanisms: readonly Listed[] }): object {
  return {
    token: token.label,
    uri: formatUri(tokenUri(token)),
    mechanisms: mechanisms.map(({ name, info }) => ({
      name,
      minKeySize: info.ulMinKeySize,
      maxKeySize: info.ulMaxKeySize,
      flags: flagNames("CKF_MECHANISM", info.flags),
    })),
  };
}

function tell(print: Printer, token: Token, mechanisms: readonly Listed[], further: boolean): void {
  const { colours } = print;
  if (further) print.line();
  print.line(`${colours.bold(visible(token.label))}  ${colours.dim(visible(token.slotDescription))}`);
  print.table(
    ["MECHANISM", { heading: "KEY SIZES", align: "right" }, "DOES"],
    mechanisms.map(({ name, info }) => [name.replace(/^CKM_/u, ""), sizes(info), uses(info)]),
  );
}

function sizes({ ulMinKeySize: min, ulMaxKeySize: max }: CK_MECHANISM_INFO): string {
  if (max === 0) return "";
  return min === max ? `${max}` : `${min} to ${max}`;
}

/** "sign, verify; on the card". */
function uses({ flags }: CK_MECHANISM_INFO): string {
  const names = flagNames("CKF_MECHANISM", flags).map((name) => name.replace(/^CKF_/u, ""));
  const verbs = names.filter((name) => name !== "HW" && !name.startsWith("EC_"));
  const words = verbs.map((name) => name.toLowerCase().replaceAll("_", " ")).join(", ");
  return names.includes("HW") ? `${words}; on the card` : words;
}
