#!/usr/bin/env node
/**
 * What package.json's `bin` names. The command itself is one bundle beside it, which takes longer to compile than to run: it comes from the
 * code that an earlier start compiled.
 */
import { createRequire } from "node:module";
import path from "node:path";
import { runCached } from "./code-cache.ts";
import type * as Quick from "./quick.ts";

const args = process.argv.slice(2);
if (args.length !== 1 || !quick().answer(args[0])) runCached(path.join(__dirname, "command.cjs"), process.env);

function quick(): typeof Quick {
  return createRequire(__filename)("./quick.cjs") as typeof Quick;
}
