import type { Command } from "commander";
import type { Environment } from "../environment.ts";
import { addPinStatus } from "./pin-status.ts";

export function addPin(program: Command, environment: Environment): void {
  const pin = program.command("pin").summary("see how the PINs stand").description("The PINs of the cards.");
  addPinStatus(pin, environment);
}
