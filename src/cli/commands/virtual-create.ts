import { type Command, Option } from "commander";
import type { SavableCard } from "../../virtual/index.ts";
import { addCardOptions, type CardOptions, createCard, pinsInWords, readDeviations } from "../card-options.ts";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { FileError, UsageError } from "../failure.ts";
import { writeFailure } from "../files.ts";
import { examples } from "../help.ts";

interface CreateOptions extends CardOptions {
  readonly profile: "piv" | "pkcs15";
}

const KIND = { piv: "PIV", pkcs15: "PKCS #15" } as const;

export function addVirtualCreate(virtual: Command, environment: Environment): void {
  const command = addCardOptions(
    virtual
      .command("create")
      .summary("make a virtual card and keep it in a file")
      .description(
        "Make a virtual PIV card with new keys and certificates, PIN 123456, PUK 12345678 and the well-known management " +
          "key, and keep it in a new file. The file holds its keys in the clear. With --profile pkcs15 it is a PKCS #15 card, which has " +
          "a signature PIN too, 654321.",
      )
      .argument("<file>", "the new file")
      .addOption(new Option("--profile <profile>", "the kind of card").choices(["piv", "pkcs15"]).default("piv")),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki virtual create card.json", "a card with the usual keys"],
      ["cryptoki --virtual card.json tokens", "use it"],
      ["cryptoki virtual create card.json --key 9a=p-256 --key 9d=none", "choose its keys"],
      ["cryptoki virtual create card.json --yubico --deviation no-certificates", "a YubiKey with keys alone"],
    ),
  );
  action<CreateOptions, [string]>(command, environment, async ({ print }, options, file) => {
    const { saveCard } = await import("../../virtual/index.ts");
    const { existsSync } = await import("node:fs");
    if (existsSync(file)) throw new FileError(`${file} is there already; a card in it would be lost`);
    const { profile } = options;
    const { card, pins } = profile === "piv" ? await createPivCard(options) : await createPkcs15Card(options);
    try {
      await saveCard(card, file);
    } catch (cause) {
      throw writeFailure(file, cause);
    }
    const use = `cryptoki --virtual ${file} tokens`;
    print.done(`A new ${KIND[profile]} card is in ${file}. Its ${pins}. Use it with: ${use}`, { file, profile });
  });
}

interface NewCard {
  readonly card: SavableCard;
  /** In words. */
  readonly pins: string;
}

async function createPivCard(options: CardOptions): Promise<NewCard> {
  const card = await createCard(options);
  return { card, pins: pinsInWords(card, options) };
}

/** @throws {UsageError} for options that speak of PIV. */
async function createPkcs15Card(options: CardOptions): Promise<NewCard> {
  const { name, extended, key, yubico, icam, deviation, ...pins } = options;
  const { VirtualPkcs15Card, ISO7816_DEVIATIONS } = await import("../../virtual/index.ts");
  const deviations = readDeviations(deviation ?? [], ISO7816_DEVIATIONS);
  if (key || yubico || icam !== undefined) throw new UsageError("--key, --yubico and --icam are for PIV cards");
  if (pins.pin !== undefined || pins.globalPin !== undefined) {
    throw new UsageError("--pin and --global-pin are for PIV cards");
  }
  const traits = { deviations, ...(name !== undefined && { name }), ...(extended && { extended }) };
  return { card: await VirtualPkcs15Card.create(traits), pins: "PINs are 123456, and 654321 for signatures" };
}
