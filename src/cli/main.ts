#!/usr/bin/env node
import { InterruptedError } from "./failure.ts";
import { writeFailure } from "./files.ts";
import { run } from "./run.ts";

const controller = new AbortController();
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

for (const [name, exitCode] of Object.entries(SIGNALS)) {
  process.on(name, () => {
    // The first asks everything to close; whoever asks again does not want to wait.
    if (controller.signal.aborted) process.exit(exitCode);
    controller.abort(new InterruptedError(`interrupted by ${name}`, exitCode));
  });
}

for (const [name, stream] of [
  ["standard output", process.stdout] as const,
  ["standard error", process.stderr] as const,
]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // `cryptoki objects | head -1`: nobody reads on, so there is nothing left to do.
    const isPipe = error.code === "EPIPE";
    controller.abort(isPipe ? new InterruptedError("nobody reads the output", 0) : writeFailure(name, error));
  });
}

// A card of this process keeps nothing open: without this a watch over it would end at once.
const running = setInterval(() => undefined, 2 ** 30);
const { stdin, stdout, stderr, env } = process;
process.exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env, signal: controller.signal });
clearInterval(running);
// What was interrupted may still wait for input, and would keep the process.
stdin.destroy();
