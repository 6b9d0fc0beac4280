import type { Command } from "commander";
import { type CardDescription, describeFiles } from "../../pkcs15/index.ts";
import { openCard } from "../card.ts";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { NotFoundError } from "../failure.ts";
import { tellFindings } from "../findings.ts";
import { examples } from "../help.ts";
import type { Printer } from "../output.ts";

export function addCardFiles(card: Command, environment: Environment): void {
  const command = card
    .command("files")
    .summary("the file system of a PKCS #15 card")
    .description(
      "List the files that a PKCS #15 card's directories name: their size, what is in them, and who may read and write them, as " +
        "far as the card tells. Access rules that have no expanded form are shown as the card's own bytes. Nothing is changed, and " +
        "no PIN is needed.",
    )
    .addHelpText("after", examples(["cryptoki card files", "all that the directories name"]));
  action(command, environment, async (context) => {
    const { print } = context;
    const description = await describeFiles(await openCard(context));
    if (!description) throw new NotFoundError("the card has no file system of PKCS #15");
    if (print.json) print.document(description);
    else tell(print, description);
  });
}

function tell(print: Printer, { files, findings }: CardDescription): void {
  print.table(
    ["FILE", { heading: "SIZE", align: "right" }, "CONTENT", "ACCESS"],
    files.map(({ path, content, structure, size, access, problem }) => [
      indented(path),
      structure === "df" ? "DF" : (size?.toString() ?? ""),
      content,
      problem ?? access.join("; "),
    ]),
  );
  tellFindings(print, findings);
}

/** Two spaces for each level, and the last identifier: a tree. */
function indented(path: string): string {
  const ids = path.split("/");
  return `${"  ".repeat(ids.length - 1)}${ids.at(-1) ?? ""}`;
}
