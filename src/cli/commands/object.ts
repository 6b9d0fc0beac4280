import type { Command } from "commander";
import type { Environment } from "../output/printer.ts";
import { addObjectDelete } from "./object-delete.ts";
import { addObjectList } from "./object-list.ts";
import { addObjectRead } from "./object-read.ts";
import { addObjectWrite } from "./object-write.ts";

export function addObject(program: Command, environment: Environment): void {
  const object = program
    .command("object")
    .summary("read, write, list and delete data objects")
    .description("The data objects of a card: those of PIV by name, such as chuid, and others by their label.");
  addObjectList(object, environment);
  addObjectRead(object, environment);
  addObjectWrite(object, environment);
  addObjectDelete(object, environment);
}
