/** A program that reads a PIN from the file that is named, as the commands do, and wipes it. */
import { readPin } from "../../../src/cli/input/pin.ts";

const [, , path = ""] = process.argv;
const { stdin, stdout, stderr, env } = process;
const { signal } = new AbortController();
const secret = { question: "PIN", option: "--pin-source", variable: "NONE", source: { from: "file", path } } as const;
const pin = await readPin(secret, { stdin, stdout, stderr, env, signal });
if (pin.length === 0) throw new Error("no PIN");
pin.fill(0);
process.send?.("done");
process.on("disconnect", () => process.exit());
