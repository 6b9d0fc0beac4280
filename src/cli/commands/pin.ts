import type { Command } from "commander";
import type { Environment } from "../environment.ts";
import { addPinChange } from "./pin-change.ts";
import { addPinStatus } from "./pin-status.ts";
import { addPinUnlock } from "./pin-unlock.ts";

export function addPin(program: Command, environment: Environment): void {
  const pin = program.command("pin").summary("see, change and unblock PINs").description("The PINs of the cards.");
  addPinStatus(pin, environment);
  addPinChange(pin, environment);
  addPinUnlock(pin, environment);
}
