import type { Command } from "commander";
import { fromUtf8, wipe } from "../../bytes/index.ts";
import { CKU } from "../../cryptoki/index.ts";
import { action, type CommandContext } from "../context.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { warnOfNewPin } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { NEW_PIN, NEW_PUK, newPinOption, type NewPinOptions, readNewPin, readPin, secret } from "../input/pin.ts";
import { chooseToken, type Token } from "../input/token.ts";
import { type Environment, visible } from "../output/printer.ts";
import { logIn, officerOption, type OfficerOptions, SO_PIN, TokenSession } from "../session.ts";

interface InitOptions extends ConfirmationOptions, NewPinOptions {
  readonly label?: string;
  readonly soPinSource?: string;
  readonly newPukSource?: string;
}

export function addTokenInit(group: Command, environment: Environment): void {
  const command = newPinOption(
    confirmationOption(
      group
        .command("init")
        .summary("initialise a token: it has a label and an SO PIN then, and no objects")
        .description(
          "Initialise a token (C_InitToken): its objects are destroyed. A card that was not initialised before takes the SO PIN as its new one; " +
            "others want their own. With --new-pin-source the user's PIN is set in the same step. A YubiKey's label is fixed.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token")
        .option("--label <text>", "the new label, at most 32 bytes; default: the present one")
        .option(
          "--so-pin-source <source>",
          `where the SO PIN or management key comes from, as --pin-source; default: ${SO_PIN.variable}, or a prompt`,
        )
        .option(
          "--new-puk-source <source>",
          "where the PUK comes from, on cards that take one with it, as --pin-source",
        ),
    ),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki token init --label Ada", "asks for the SO PIN"],
      [
        "cryptoki token init --label Ada --so-pin-source file:so.txt --new-pin-source file:pin.txt --yes",
        "for a script",
      ],
    ),
  );
  action<InitOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { environment: given, signal } = context;
    const token = await chooseToken(context, uri);
    const cryptoki = await context.cryptoki();
    // A card that was never initialised has no label.
    const name = token.label === "" ? `the card in ${token.slotDescription}` : visible(token.label);
    const label = options.label ?? token.label;
    await confirm(context, `all objects of ${name} are destroyed for ever`, options);
    const soPin = await readPin(secret(SO_PIN, `SO PIN or management key of ${name}`, options.soPinSource), given);
    try {
      if (options.newPukSource !== undefined) {
        const puk = await readNewPin(secret(NEW_PUK, `PUK of ${name}`, options.newPukSource), given);
        await cryptoki.C_SetVariable("puk", fromUtf8(puk)).finally(() => {
          wipe(puk);
        });
      }
      const pin = options.newPinSource === undefined ? undefined : await firstPin(context, token, options.newPinSource);
      try {
        await cryptoki.C_InitToken(token.slotID, soPin, label, { signal });
        if (pin) {
          const session = await TokenSession.open(context, token, uri);
          await cryptoki.C_Login(session.handle, CKU.SO, soPin);
          await setFirstPin(session, pin);
        }
      } finally {
        if (pin) wipe(pin);
      }
    } finally {
      wipe(soPin);
    }
    // Some cards keep a label of their own.
    const { label: shown } = await cryptoki.C_GetTokenInfo(token.slotID);
    context.print.done(`The token ${visible(shown)} is initialised.`, {
      label: shown,
      initialised: true,
      pinSet: options.newPinSource !== undefined,
    });
  });
}

/** The user's new PIN, before anything is changed. */
function firstPin(context: CommandContext, token: Token, source: string | undefined): Promise<Uint8Array> {
  return readNewPin(secret(NEW_PIN, `New PIN of ${visible(token.label)}`, source), context.environment);
}

/** Sets the user's PIN for the officer, who is logged in. */
async function setFirstPin({ context, cryptoki, handle, token }: TokenSession, pin: Uint8Array): Promise<void> {
  await cryptoki.C_InitPIN(handle, pin, { signal: context.signal });
  await warnOfNewPin(context, token, pin);
}

export function addPinSet(pin: Command, environment: Environment): void {
  const command = newPinOption(
    officerOption(
      pin
        .command("set")
        .summary("set the user's first PIN, as security officer")
        .description(
          "Set the user's PIN as security officer (C_InitPIN), where a card has none yet or its holder has forgotten it. The SO PIN is asked for.",
        )
        .argument("[uri]", "a PKCS #11 URI of the token"),
    ),
  ).addHelpText("after", examples(["cryptoki pin set", "asks for the SO PIN, and twice for the new PIN"]));
  action<OfficerOptions & NewPinOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const token = await chooseToken(context, uri);
    const session = await TokenSession.open(context, token, uri);
    await logIn(session, { ...options, so: true });
    const pin = await firstPin(context, token, options.newPinSource);
    await setFirstPin(session, pin).finally(() => {
      wipe(pin);
    });
    context.print.done(`The PIN of ${visible(token.label)} is set.`, { token: token.label, set: true });
  });
}
