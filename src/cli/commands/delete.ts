import { type Command, Option } from "commander";
import { toHex } from "../../bytes/index.ts";
import { action } from "../context.ts";
import type { Environment } from "../output/printer.ts";
import { UsageError } from "../output/failures.ts";
import { examples } from "../input/options.ts";
import { asAllowed, logIn, officerOption, type OfficerOptions } from "../session.ts";
import {
  chooseObject,
  OBJECT_TYPES,
  openSessionFor,
  readSelection,
  type SelectionOptions,
} from "../input/selection.ts";

export function addDelete(program: Command, environment: Environment): void {
  const command = officerOption(
    program
      .command("delete")
      .summary("delete an object from a card")
      .description("Delete an object from a card, if the card allows it. This cannot be undone.")
      .argument("[uri]", "a PKCS #11 URI of the object")
      .addOption(new Option("--type <type>", "its type, if the URI has none").choices(OBJECT_TYPES))
      .option("--id <hex>", "its CKA_ID")
      .option("--label <text>", "its CKA_LABEL"),
  ).addHelpText(
    "after",
    examples(
      ["cryptoki delete --type cert --id 45", "a certificate"],
      ["cryptoki delete --type data --label Notes", "a data object"],
    ),
  );
  action<SelectionOptions & OfficerOptions, [string | undefined]>(
    command,
    environment,
    async (context, options, uri) => {
      const selection = readSelection(options, uri);
      const { type } = selection;
      if (!type) throw new UsageError("which object? Give --type with --id or --label, or a URI with a type");
      const session = await openSessionFor(context, selection, uri);
      await logIn(session, options);
      const { handle, id, label } = await chooseObject(session, type, selection);
      await asAllowed(options, session.cryptoki.C_DestroyObject(session.handle, handle));
      const words = [type, toHex(id), label].filter(Boolean).join(" ");
      context.print.done(`Deleted: ${words}`, { deleted: true, type, id: toHex(id), label });
    },
  );
}
