import type { Command } from "commander";
import type { Environment } from "../environment.ts";
import { examples } from "../help.ts";
import { addServing, type ServeOptions } from "./virtual-serve.ts";

interface Pkcs15Options extends ServeOptions {
  readonly name?: string;
  readonly extended?: true;
}

export function addVirtualPkcs15(virtual: Command, environment: Environment): void {
  const command = virtual
    .command("pkcs15")
    .summary("put a virtual PKCS #15 card with two PINs into a real pcscd, until interrupted")
    .description(
      "Put a virtual PKCS #15 card into the virtual reader of a real pcscd (Debian package vsmartcard-vpcd), where every " +
        "program finds it, until interrupted. It is a new card with PIN 123456 (PUK 12345678) and signature PIN 654321 " +
        "(PUK 87654321) unless --file names a saved one.",
    )
    .option("--name <name>", "the holder's name")
    .option("--extended", "the card takes extended-length APDUs")
    .addHelpText(
      "after",
      examples(
        ["cryptoki virtual pkcs15", "a new card, until Ctrl-C"],
        ["pkcs15-tool --dump", "in another terminal: other programs see it"],
      ),
    );
  addServing<Pkcs15Options>(command, environment, {
    is: "A new PKCS #15 card (PIN 123456, signature PIN 654321)",
    async make({ name, extended }) {
      const { VirtualPkcs15Card } = await import("../../virtual/index.ts");
      return VirtualPkcs15Card.create({ ...(name !== undefined && { name }), ...(extended && { extended }) });
    },
  });
}
