import { existsSync } from "node:fs";
import type { Command } from "commander";
import { fromUtf8, wipe } from "../../bytes/index.ts";
import type { CardToken } from "../../card/index.ts";
import { action, type CommandContext } from "../context.ts";
import { administeredToken, logInOfficer } from "../input/card-administration.ts";
import { backUp, parseBackup, restore } from "../input/card-backup.ts";
import { FOR, readWhole, writeWhole } from "../input/files.ts";
import { examples } from "../input/options.ts";
import { PIN, readPin, secret } from "../input/pin.ts";
import type { Token } from "../input/token.ts";
import { warn } from "../input/officer.ts";
import { FileError } from "../output/failures.ts";
import { amount, type Environment, visible } from "../output/printer.ts";
import { officerOption, type OfficerOptions } from "../session.ts";

/** More than any card holds. */
const MAX_BACKUP = 8 << 20;

export function addCardBackup(card: Command, environment: Environment): void {
  const command = card
    .command("backup")
    .summary("copy what can leave a card to a file")
    .description(
      "Copy what can leave a card to a new JSON file: keys encrypted with the card's DKEK, certificates and data objects. Keys that cannot " +
        "leave the card are named. The PIN is asked for. The file holds no key that anything but a card with the same DKEK can use, but " +
        "private data objects stand in it as they are.",
    )
    .argument("<file>", "the new file")
    .argument("[uri]", "a PKCS #11 URI of the token")
    .addHelpText(
      "after",
      examples(["cryptoki card backup card.json", "then on another card: cryptoki card restore card.json"]),
    );
  action<object, [string, string | undefined]>(command, environment, async (context, _options, file, uri) => {
    if (!context.options.force && existsSync(file)) throw new FileError(`${file} exists already; --force replaces it`);
    const { token, run } = await administeredToken(context, uri);
    const backup = await run(async (cardToken) => {
      await logInUser(context, token, cardToken);
      return backUp(cardToken, context.signal);
    });
    await writeWhole(file, `${JSON.stringify(backup, undefined, 2)}\n`, { mode: FOR.USER, signal: context.signal });
    const { keys, certificates, data, left } = backup;
    for (const one of left) warn(context, `${one.class} ${visible(one.label)} is not in the backup: ${one.reason}`);
    const [someKeys, some] = [amount(keys.length, "key"), amount(certificates.length, "certificate")];
    const counts = `${someKeys}, ${some} and ${amount(data.length, "data object")}`;
    context.print.done(`Copied from ${visible(token.label)} to ${file}: ${counts}.`, {
      file,
      keys: keys.length,
      certificates: certificates.length,
      data: data.length,
      left,
    });
  });
}

export function addCardRestore(card: Command, environment: Environment): void {
  const command = officerOption(
    card
      .command("restore")
      .summary("write a backup on a card")
      .description(
        "Write the objects of a backup on a card. Keys need a card with the same DKEK. What is on the card already stays; after an interruption " +
          "the same command completes the work. Nothing is deleted.",
      )
      .argument("<file>", "a file of cryptoki card backup")
      .argument("[uri]", "a PKCS #11 URI of the token"),
  ).addHelpText("after", examples(["cryptoki card restore card.json", "the PIN of the card is asked for"]));
  action<OfficerOptions, [string, string | undefined]>(command, environment, async (context, options, file, uri) => {
    const { signal } = context;
    const text = fromUtf8(await readWhole(file, signal, MAX_BACKUP));
    const backup = parseBackup(text, file);
    const { token, run } = await administeredToken(context, uri);
    const { written, present } = await run(async (cardToken) => {
      if ((cardToken.changedBy ?? "so") === "so") await logInOfficer(context, token, cardToken, options);
      else await logInUser(context, token, cardToken);
      return restore(cardToken, backup, signal);
    });
    const name = visible(token.label);
    context.print.done(`Written on ${name}: ${amount(written, "object")} of ${file}; there already: ${present}.`, {
      written,
      present,
    });
  });
}

async function logInUser(context: CommandContext, token: Token, cardToken: CardToken): Promise<void> {
  const question = `PIN of ${visible(token.label)}`;
  const pin = await readPin(secret(PIN, question, context.options.pinSource), context.environment);
  try {
    await cardToken.login("user", pin, { signal: context.signal });
  } finally {
    wipe(pin);
  }
}
