import type { Command } from "commander";
import { wipe } from "../../bytes/index.ts";
import type { PinStatus } from "../../card/index.ts";
import { formatUri, tokenUri } from "../../cryptoki/index.ts";
import { action } from "../context.ts";
import { warnOfNewPin } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { NEW_PIN, newPinOption, type NewPinOptions, PIN, PUK, readNewPin, readPin, secret } from "../input/pin.ts";
import { chooseToken, listTokens, noToken, onCardToken, readUri, selectTokens, type Token } from "../input/token.ts";
import { addPinRetries } from "./pin-retries.ts";
import { addPinSet } from "./token-init.ts";
import { type Cell, type Environment, type Printer, visible } from "../output/printer.ts";
import { checkNewPin, isPinGiven, pinQuestion, refuseBlockedPin, TokenSession } from "../session.ts";

function addPinChange(pin: Command, environment: Environment): void {
  const command = newPinOption(
    pin
      .command("change")
      .summary("change a token's PIN")
      .description("Change the PIN of a token. A wrong old PIN spends one try; the command does not try it again.")
      .argument("[uri]", "a PKCS #11 URI of the token"),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki pin change", "asks for the old PIN, and twice for the new one"],
      ["cryptoki pin change 'pkcs11:token=Virtual%20eID%20%28Signature%20PIN%29'", "for one of several tokens"],
    ),
  );
  action<NewPinOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const session = await TokenSession.open(context, token, uri);
    const name = visible(token.label);
    const from = context.options.pinSource ?? (uri === undefined ? undefined : readUri(uri).pinSource);
    refuseBlockedPin(token);
    const question = await pinQuestion(context, token, isPinGiven(context, uri));
    const oldPin = await readPin(secret(PIN, question, from), context.environment);
    try {
      const newPin = await readNewPin(
        secret(NEW_PIN, `New PIN of ${name}`, options.newPinSource),
        context.environment,
        (typed) => {
          checkNewPin(token, typed);
        },
      );
      try {
        await session.cryptoki.C_SetPIN(session.handle, oldPin, newPin);
        await warnOfNewPin(context, token, newPin);
      } finally {
        wipe(newPin);
      }
    } finally {
      wipe(oldPin);
    }
    context.print.done(`The PIN of ${name} has been changed.`, { token: token.label, changed: true });
  });
}

function addPinStatus(pin: Command, environment: Environment): void {
  const command = pin
    .command("status")
    .summary("how many tries each PIN has left")
    .description("Show how many tries the PIN of each token has left. This spends no try.")
    .argument("[uri]", "a PKCS #11 URI: only tokens that it matches")
    .addHelpText(
      "after",
      examples(
        ["cryptoki pin status", "for every token present"],
        ["cryptoki pin status --json | jq '.[].user.triesLeft'", "for a program"],
      ),
    );
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    // The tries are asked of the cards: a server is refused before it is asked for its tokens.
    await context.pcsc();
    const all = await listTokens(context);
    const found: { token: Token; status: PinStatus }[] = [];
    for (const token of await selectTokens(context, all, uri)) {
      // PKCS #11 has only flags; this asks the card for the number of tries, which spends none.
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

/** A token's PIN as `--json` prints it; triesLeft and maxTries are null if the card does not report them. */
function document(token: Token, { triesLeft, maxTries, isSet = true }: PinStatus): object {
  return {
    label: token.label,
    reader: token.slotDescription,
    user: { set: isSet, triesLeft: triesLeft ?? null, maxTries: maxTries ?? null, blocked: triesLeft === 0 },
    uri: formatUri(tokenUri(token)),
  };
}

function tries({ triesLeft, maxTries }: PinStatus): string {
  if (triesLeft === undefined) return "unknown";
  return maxTries === undefined ? String(triesLeft) : `${triesLeft} of ${maxTries}`;
}

function judgement({ colours }: Printer, { triesLeft, maxTries, isSet = true }: PinStatus): Cell {
  if (!isSet) return { styled: colours.red("no PIN is set") };
  if (triesLeft === undefined) return "";
  if (triesLeft === 0) return { styled: colours.red("blocked; unblock it with the PUK: cryptoki pin unlock") };
  if (triesLeft === 1) return { styled: colours.red("one more wrong PIN blocks it") };
  if (maxTries === undefined) return "";
  return { styled: triesLeft < maxTries ? colours.yellow("the last PIN was wrong") : colours.green("ok") };
}

interface UnlockOptions extends NewPinOptions {
  readonly pukSource?: string;
}

function addPinUnlock(pin: Command, environment: Environment): void {
  const command = newPinOption(
    pin
      .command("unlock")
      .summary("unblock a PIN with its PUK")
      .description(
        "Set a new PIN with the PUK of a token. The new PIN has all its tries. A wrong PUK spends one of the PUK's own tries.",
      )
      .argument("[uri]", "a PKCS #11 URI of the token")
      .option(
        "--puk-source <source>",
        `where the PUK comes from, as --pin-source; default: ${PUK.variable}, or a prompt`,
      ),
  ).addHelpText("after", examples(["cryptoki pin unlock", "asks for the PUK, and twice for the new PIN"]));
  action<UnlockOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const session = await TokenSession.open(context, token, uri);
    const name = visible(token.label);
    const puk = await readPin(secret(PUK, `PUK of ${name}`, options.pukSource), context.environment);
    try {
      const newPin = await readNewPin(
        secret(NEW_PIN, `New PIN of ${name}`, options.newPinSource),
        context.environment,
        (typed) => {
          checkNewPin(token, typed);
        },
      );
      try {
        await session.cryptoki.C_UnlockPIN(session.handle, puk, newPin);
        await warnOfNewPin(context, token, newPin);
      } finally {
        wipe(newPin);
      }
    } finally {
      wipe(puk);
    }
    context.print.done(`The PIN of ${name} has been unblocked.`, { token: token.label, unlocked: true });
  });
}

export function addPin(program: Command, environment: Environment): void {
  const pin = program
    .command("pin")
    .summary("show, change and unblock PINs")
    .description("Show, change and unblock the PINs of cards.");
  addPinStatus(pin, environment);
  addPinChange(pin, environment);
  addPinUnlock(pin, environment);
  addPinSet(pin, environment);
  addPinRetries(pin, environment);
}
