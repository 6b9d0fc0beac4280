import type { Command } from "commander";
import type { Environment } from "../environment.ts";
import { addApduExplain } from "./apdu-explain.ts";
import { addApduSend } from "./apdu-send.ts";

export function addApdu(program: Command, environment: Environment): void {
  const apdu = program
    .command("apdu")
    .summary("send APDUs to a card, or explain them")
    .description("Commands of ISO/IEC 7816-4, as bytes.");
  addApduSend(apdu, environment);
  addApduExplain(apdu, environment);
}
