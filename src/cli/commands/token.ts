import type { Command } from "commander";
import { wipe } from "../../bytes/index.ts";
import type { CardDeviceInfo, CardToken, PinStatus } from "../../card/index.ts";
import { formatUri, tokenUri } from "../../cryptoki/index.ts";
import { action, type CommandContext } from "../context.ts";
import { administeredToken, requireMethod } from "../input/card-administration.ts";
import { confirm, type ConfirmationOptions, confirmationOption } from "../input/confirmation.ts";
import { warn } from "../input/officer.ts";
import { examples } from "../input/options.ts";
import { PIN, readPin, secret } from "../input/pin.ts";
import type { Token } from "../input/token.ts";
import { UnsuitableCardError } from "../output/failures.ts";
import { type Environment, visible } from "../output/printer.ts";
import { addTokenInit } from "./token-init.ts";
import { addTokenLabel } from "./token-label.ts";

export function addToken(program: Command, environment: Environment): void {
  const token = program
    .command("token")
    .summary("what a card is, and how it is made new")
    .description("A token as a whole.");
  addTokenInfo(token, environment);
  addTokenInit(token, environment);
  addTokenLabel(token, environment);
  addTokenReset(token, environment);
}

function addTokenInfo(group: Command, environment: Environment): void {
  const command = group
    .command("info")
    .summary("the device, the tries of its PINs, and what is still as the factory set it")
    .description(
      "Show what a token is: its device and firmware, the tries that PIN and PUK have left, and whether PIN, PUK and management key are still " +
        "those that every new device has. No PIN is needed, and no try is spent.",
    )
    .argument("[uri]", "a PKCS #11 URI of the token")
    .addHelpText("after", examples(["cryptoki token info", "before a card is given to its holder"]));
  action<object, [string | undefined]>(command, environment, async (context, _, uri) => {
    const { print } = context;
    const { token, run } = await administeredToken(context, uri);
    const { status, device } = await run(async (cardToken) => ({
      status: await cardToken.pinStatus("user", true),
      device: await cardToken.deviceInfo?.(),
    }));
    const known = [
      ["PIN", device?.hasDefaultPin, "cryptoki pin change"],
      ["PUK", device?.hasDefaultPuk, "cryptoki puk change"],
      ["management key", device?.hasDefaultOfficerKey, "cryptoki so change"],
    ] as const;
    if (print.json) print.document(infoDocument(token, status, device));
    else {
      print.line(print.colours.bold(visible(token.label)));
      print.pairs(infoPairs(token, status, device), "  ");
    }
    if (device?.officerKeyStorage === "derived") {
      warn(
        context,
        "the management key is derived from the PIN, and is guessed with it; set another one with: cryptoki so change --protect",
      );
    }
    for (const [name, isFactory, advice] of known) {
      if (isFactory) warn(context, `the ${name} is the one that every new card has; change it with: ${advice}`);
    }
  });
}

/** A token as `--json` prints it; null where the card does not tell. */
function infoDocument(token: Token, { triesLeft, maxTries }: PinStatus, device?: CardDeviceInfo): object {
  const { firmware = null, serial = null, pukTriesLeft = null } = device ?? {};
  const { officerKeyAlgorithm: algorithm = null, officerKeyStorage: storage = null } = device ?? {};
  const { hasDefaultPin = null, hasDefaultPuk = null, hasDefaultOfficerKey = null } = device ?? {};
  const { label, model, serialNumber } = token;
  return {
    label,
    model,
    serialNumber,
    firmware,
    device: serial,
    pin: { triesLeft: triesLeft ?? null, maxTries: maxTries ?? null, factory: hasDefaultPin },
    puk: { triesLeft: pukTriesLeft, factory: hasDefaultPuk },
    managementKey: { factory: hasDefaultOfficerKey, algorithm, storage },
    uri: formatUri(tokenUri(token)),
  };
}

function infoPairs(token: Token, status: PinStatus, device?: CardDeviceInfo): [string, string][] {
  const told = (value: number | string | undefined): string => String(value ?? "not told");
  return [
    ["reader", token.slotDescription],
    ["model", token.model],
    ["serial number", token.serialNumber],
    ["device", told(device?.serial)],
    ["firmware", told(device?.firmware)],
    ["PIN tries left", told(status.triesLeft)],
    ["PUK tries left", told(device?.pukTriesLeft)],
    ["management key", keyText(device)],
    ["URI", formatUri(tokenUri(token))],
  ];
}

const STORAGE = {
  apart: "not on the card",
  protected: "on the card, and the PIN opens it",
  derived: "derived from the PIN",
} as const;

function keyText({ officerKeyAlgorithm, officerKeyStorage }: Partial<CardDeviceInfo> = {}): string {
  const storage = officerKeyStorage && STORAGE[officerKeyStorage];
  return [officerKeyAlgorithm?.toUpperCase(), storage].filter(Boolean).join(", ") || "not told";
}

function addTokenReset(group: Command, environment: Environment): void {
  const command = confirmationOption(
    group
      .command("reset")
      .summary("make the PIV application of a YubiKey as the factory made it, or delete all of a PKCS #15 card")
      .description(
        "Reset the PIV application of a YubiKey: all keys, certificates and data are destroyed; PIN, PUK and management key are those of a " +
          "new device. No PIN is needed: PIN and PUK are blocked first, as the device wants it. A reset that was interrupted goes on when the " +
          "command is given again. A MyEID and an IsoApplet are emptied with a PIN, which is asked for: the SO PIN of a MyEID, the PIN of an IsoApplet, " +
          "which keeps PIN and PUK.",
      )
      .argument("[uri]", "a PKCS #11 URI of the token"),
  ).addHelpText("after", examples(["cryptoki token reset", "asks first"]));
  action<ConfirmationOptions, [string | undefined]>(command, environment, async (context, options, uri) => {
    const { token, run } = await administeredToken(context, uri);
    const name = visible(token.label);
    const isEmptied = await run(async (cardToken) => {
      if (!cardToken.erase && cardToken.resetToken) {
        await emptyCard(context, options, name, cardToken.resetToken.bind(cardToken));
        return true;
      }
      if (!cardToken.erase && cardToken.initToken) {
        throw new UnsuitableCardError(
          "this card has no command for a reset; initialising it destroys everything on it: cryptoki token init",
        );
      }
      const erase = requireMethod(cardToken, "erase", "let itself be reset");
      await confirm(context, `all keys, certificates and data on ${name} are destroyed for ever`, options);
      await erase({ signal: context.signal });
      return false;
    });
    if (isEmptied) {
      context.print.done(`${name} is empty. Initialise it with: cryptoki token init`, {
        token: token.label,
        reset: true,
      });
      return;
    }
    context.print.done(
      `${name} is as the factory made it: PIN 123456, PUK 12345678, and the well-known management key.`,
      {
        token: token.label,
        reset: true,
      },
    );
  });
}

/** Deletes everything on a card that wants a PIN for it. */
async function emptyCard(
  context: CommandContext,
  options: ConfirmationOptions,
  name: string,
  reset: NonNullable<CardToken["resetToken"]>,
): Promise<void> {
  await confirm(context, `all keys, certificates and data on ${name} are destroyed for ever`, options);
  const asked = secret(PIN, `PIN of ${name} that allows it`, context.options.pinSource);
  const pin = await readPin(asked, context.environment);
  try {
    await reset(pin, new Map(), { signal: context.signal });
  } finally {
    wipe(pin);
  }
}
