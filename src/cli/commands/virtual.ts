import type { Command } from "commander";
import type { Environment } from "../environment.ts";
import { addVirtualCreate } from "./virtual-create.ts";
import { addVirtualDeviations } from "./virtual-deviations.ts";
import { addVirtualPiv } from "./virtual-piv.ts";
import { addVirtualPkcs15 } from "./virtual-pkcs15.ts";

export function addVirtual(program: Command, environment: Environment): void {
  const virtual = program
    .command("virtual")
    .summary("make virtual cards, and put them into pcscd")
    .description("Cards in software, for trying and testing. Nothing protects their keys.");
  addVirtualCreate(virtual, environment);
  addVirtualDeviations(virtual, environment);
  addVirtualPiv(virtual, environment);
  addVirtualPkcs15(virtual, environment);
}
