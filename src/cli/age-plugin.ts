#!/usr/bin/env node
/** The program that age starts for keys of cards: `cryptoki age plugin`; by hand, without an argument, `cryptoki age identity`. */
import path from "node:path";
import { runCached } from "./code-cache.ts";

const args = process.argv.splice(2);
process.argv.push(
  "age",
  ...(args.length === 0 ? ["identity"] : args[0]?.startsWith("--age-plugin") ? ["plugin", ...args] : args),
);
runCached(path.join(__dirname, "command.cjs"), process.env);
