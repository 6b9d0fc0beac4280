/** For the build: prints the outline of the program's help as JSON. */
import { Readable, Writable } from "node:stream";
import { outlineOf } from "./output/outline.ts";
import { createProgram, run } from "./program.ts";

let printed = "";
const stdout = new Writable({
  write(chunk: Buffer, _, done) {
    printed += chunk.toString();
    done();
  },
});
const environment = {
  stdin: Readable.from([]),
  stdout,
  stderr: process.stderr,
  env: {},
  signal: new AbortController().signal,
};
void run(["--help"], environment).then((code) => {
  process.exitCode = code;
  process.stdout.write(JSON.stringify(outlineOf(createProgram(environment), printed)));
});
