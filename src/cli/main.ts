import { Deadline, pause, threadPoolIsBusy } from "../async/index.ts";
import { InterruptedError } from "./output/failures.ts";
import { writeFailure } from "./input/files.ts";
import { run } from "./program.ts";
import { takeSecrets } from "./session.ts";

const controller = new AbortController();
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

for (const [name, exitCode] of Object.entries(SIGNALS)) {
  process.on(name, () => {
    // The first signal asks everything to close; a second one ends the process at once.
    if (controller.signal.aborted) end(name, exitCode);
    controller.abort(new InterruptedError(`interrupted by ${name}`, exitCode));
  });
}

for (const [name, stream] of [
  ["standard output", process.stdout] as const,
  ["standard error", process.stderr] as const,
]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // `cryptoki objects | head -1`: the reader of the output has ended, so there is nothing left to do.
    const isPipe = error.code === "EPIPE";
    controller.abort(isPipe ? new InterruptedError("the output has no reader", 0) : writeFailure(name, error));
  });
}

/**
 * Whether a thread of libuv's pool makes a key, or waits for a file or a name server: process.exit() would wait for it.
 */
const isStuck = (): boolean =>
  threadPoolIsBusy() || process.getActiveResourcesInfo().some((name) => /^(?:FSReq|GetAddrInfo)/u.test(name));

/** Ends the process at once; by the signal itself where process.exit() would not. */
function end(signal: string, exitCode: number): never {
  if (isStuck()) {
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  }
  process.exit(exitCode);
}

/** Milliseconds for a file to close. */
const CLOSING = 200;

async function main(): Promise<void> {
  // A virtual card keeps no handle open; without this timer, watching it would end at once.
  setInterval(() => undefined, 2 ** 30);
  const args = process.argv.slice(2);
  const env = takeSecrets(process.env, args);
  const { stdin, stdout, stderr } = process;
  const exitCode = await run(args, { stdin, stdout, stderr, env, signal: controller.signal });
  if (exitCode === 0) process.exit();
  for (const closing = new Deadline(CLOSING); isStuck() && !closing.passed;) await pause(10);
  const [name] = Object.entries(SIGNALS).find(([, code]) => code === exitCode) ?? ["SIGTERM"];
  end(name, exitCode);
}

// The bundle is CommonJS, where a module cannot wait.
void main();
