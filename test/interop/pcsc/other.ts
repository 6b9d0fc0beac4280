import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { OtherCall } from "./other-main.ts";

export interface OtherProgram extends AsyncDisposable {
  /** Makes the other program do it; resolves to "done" or the name of the error. */
  do(call: OtherCall): Promise<string>;
  /** Ends the program as a crash does. */
  kill(): Promise<void>;
}

/** Starts a second program that uses the card in `reader`. */
export async function startOther(reader: string): Promise<OtherProgram> {
  const main = fileURLToPath(new URL("other-main.ts", import.meta.url));
  const child = fork(main, [reader], { execArgv: ["--import", "tsx"], env: { ...process.env, NODE_OPTIONS: "" } });
  const answer = async (): Promise<string> => {
    const [said] = (await Promise.race([once(child, "message"), once(child, "exit")])) as [unknown];
    return String(said);
  };
  const kill = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  if ((await answer()) !== "ready") throw new Error("the second program did not start");
  return {
    do: (call) => {
      const said = answer();
      child.send(call);
      return said;
    },
    kill,
    [Symbol.asyncDispose]: kill,
  };
}
