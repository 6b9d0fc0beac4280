import type { Command } from "commander";
import { action } from "../context.ts";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";

export function addVirtualDeviations(virtual: Command, environment: Environment): void {
  const command = virtual
    .command("deviations")
    .summary("list the ways in which virtual cards can differ from the standard")
    .description(
      "List the ways in which real cards differ from the standard, or from each other where it leaves a choice. A virtual card " +
        "has those that --deviation names when it is made.",
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki virtual deviations", "what there is"],
        ["cryptoki virtual create card.json --deviation no-key-history", "a card that has one of them"],
      ),
    );
  action(command, environment, async ({ print }) => {
    const { PIV_DEVIATIONS, ISO7816_DEVIATIONS } = await import("../../virtual/index.ts");
    const deviations = [...rows("piv", PIV_DEVIATIONS), ...rows("pkcs15", ISO7816_DEVIATIONS)];
    if (print.json) print.document(deviations);
    else {
      print.table(
        ["CARD", "NAME", "WHAT THE CARD DOES"],
        deviations.map(({ profile, name, meaning }) => [profile, name, meaning]),
      );
    }
  });
}

interface Row {
  readonly profile: "piv" | "pkcs15";
  readonly name: string;
  readonly meaning: string;
}

const rows = (profile: Row["profile"], table: Readonly<Record<string, string>>): Row[] =>
  Object.entries(table).map(([name, meaning]) => ({ profile, name, meaning }));
