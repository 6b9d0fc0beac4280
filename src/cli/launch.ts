#!/usr/bin/env node
/**
 * What package.json's `bin` names. The command itself is one bundle beside it, which takes longer to compile than to run: it comes from the
 * code that an earlier start compiled.
 */
import path from "node:path";
import { runCached } from "./code-cache.ts";

runCached(path.join(__dirname, "command.cjs"), process.env);
