import type { Command } from "commander";
import { addCardOptions, type CardOptions, createCard } from "../card-options.ts";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";
import { addServing, type ServeOptions } from "./virtual-serve.ts";

export function addVirtualPiv(virtual: Command, environment: Environment): void {
  const command = virtual
    .command("piv")
    .summary("put a virtual PIV card into a real pcscd, until interrupted")
    .description(
      "Put a virtual PIV card into the virtual reader of a real pcscd (Debian package vsmartcard-vpcd), where every " +
        "program finds it, until interrupted. It is a new card with PIN 123456 unless --file names a saved one.",
    )
    .addHelpText(
      "after",
      examples(
        ["cryptoki virtual piv", "a new card, until Ctrl-C"],
        ["cryptoki virtual piv --file card.json", "a card from: cryptoki virtual create card.json"],
        ["pkcs11-tool --module opensc-pkcs11.so -O", "in another terminal: other programs see it"],
      ),
    );
  addServing<ServeOptions & CardOptions>(command, environment, { is: "A new PIV card (PIN 123456)", make: createCard });
  addCardOptions(command);
}
