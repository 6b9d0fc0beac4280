/**
 * Does one piece of work with this project's library, and nothing besides: what walk.cpp does with a PKCS#11 module, call
 * by call. See there for the command line and the lines printed.
 */
import { createInterface } from "node:readline";
import { Cryptoki, Pcscd, profiles } from "../src/index.ts";
import { Walk } from "./walk-calls.ts";

const lines = createInterface(process.stdin)[Symbol.asyncIterator]();

/** Ends a step: says so, and waits to be told to go on. */
async function done(detail: string): Promise<void> {
  process.stdout.write(`done ${detail}\n`);
  await lines.next();
}

const pcsc = new Pcscd();
try {
  const { BENCH_PIN: pin = "", BENCH_SO_PIN: soPin = "" } = process.env;
  await new Walk(new Cryptoki({ pcsc, profiles }), { done, pin, soPin }).run(process.argv.slice(2));
} catch (error) {
  process.stdout.write(`refused ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
} finally {
  process.stdin.destroy();
  await pcsc.close();
}
