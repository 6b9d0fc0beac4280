#!/usr/bin/env node
/** What git calls as gpg.x509.program, with gpgsm's options: `cryptoki git-sign`. */
import path from "node:path";
import { runCached } from "./code-cache.ts";

process.argv.splice(2, 0, "git-sign");
runCached(path.join(__dirname, "command.cjs"), process.env);
