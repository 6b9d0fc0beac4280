import type { Command } from "commander";
import type { Environment } from "../environment.ts";
import { addCardDoctor } from "./card-doctor.ts";
import { addCardDump } from "./card-dump.ts";
import { addCardFiles } from "./card-files.ts";

export function addCard(program: Command, environment: Environment): void {
  const card = program
    .command("card")
    .summary("look into a card")
    .description("Show what is on a card, and examine it.");
  addCardDoctor(card, environment);
  addCardDump(card, environment);
  addCardFiles(card, environment);
}
