import type { Command } from "commander";
import { addCardOptions, type CardOptions, createCard } from "../card-options.ts";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { FileError } from "../failure.ts";
import { writeFailure } from "../files.ts";
import { examples } from "../help.ts";

export function addVirtualCreate(virtual: Command, environment: Environment): void {
  const command = addCardOptions(
    virtual
      .command("create")
      .summary("make a virtual PIV card and keep it in a file")
      .description(
        "Make a virtual PIV card with new keys and certificates, PIN 123456, PUK 12345678 and the well-known management " +
          "key, and keep it in a new file. Its keys lie open in the file.",
      )
      .argument("<file>", "the new file"),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki virtual create card.json", "a card with the usual keys"],
      ["cryptoki --virtual card.json tokens", "use it"],
      ["cryptoki virtual create card.json --key 9a=p-256 --key 9d=none", "choose its keys"],
    ),
  );
  action<CardOptions, [string]>(command, environment, async ({ print }, options, file) => {
    const { saveCard } = await import("../../virtual/index.ts");
    const { existsSync } = await import("node:fs");
    if (existsSync(file)) throw new FileError(`${file} is there already; a card in it would be lost`);
    const card = await createCard(options);
    try {
      await saveCard(card, file);
    } catch (cause) {
      throw writeFailure(file, cause);
    }
    const use = `cryptoki --virtual ${file} tokens`;
    print.done(`A new PIV card is in ${file}. Its PIN is 123456. Use it with: ${use}`, { file, profile: "piv" });
  });
}
