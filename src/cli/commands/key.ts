import type { Command } from "commander";
import type { Environment } from "../output/printer.ts";
import { addKeyAttest } from "./key-attest.ts";
import { addKeyDelete } from "./key-delete.ts";
import { addKeyGenerate } from "./key-generate.ts";
import { addKeyImport } from "./key-import.ts";
import { addKeyInfo } from "./key-info.ts";
import { addKeyList } from "./key-list.ts";
import { addKeyMove } from "./key-move.ts";
import { addKeyVerify } from "./key-verify.ts";

export function addKey(program: Command, environment: Environment): void {
  const key = program
    .command("key")
    .summary("make keys on a card, and see what they are")
    .description("The private keys on the cards.");
  addKeyGenerate(key, environment);
  addKeyImport(key, environment);
  addKeyList(key, environment);
  addKeyInfo(key, environment);
  addKeyVerify(key, environment);
  addKeyAttest(key, environment);
  addKeyMove(key, environment);
  addKeyDelete(key, environment);
}
