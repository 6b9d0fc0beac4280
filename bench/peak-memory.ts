import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";

/** Loaded into a program: it writes its largest resident set, in KiB, on standard error at its end. */
const REPORT = `import { writeSync } from "node:fs"; process.on("exit", () => {
  writeSync(2, "\\npeak " + process.resourceUsage().maxRSS + "\\n");
});`;

/**
 * Runs Node with these arguments.
 * @param input A file that is written to its standard input.
 * @returns Its largest resident set, in bytes.
 * @throws if it fails; with what it wrote on standard error.
 */
export async function peakMemory(args: readonly string[], env: NodeJS.ProcessEnv, input?: string): Promise<number> {
  const report = `data:text/javascript,${encodeURIComponent(REPORT)}`;
  const child = spawn(process.execPath, ["--import", report, ...args], {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["pipe", "ignore", "pipe"],
  });
  if (input === undefined) child.stdin.end();
  else createReadStream(input).pipe(child.stdin);
  const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, "close") as Promise<[number | null]>]);
  const peak = /^peak (\d+)$/mu.exec(stderr)?.[1];
  if (code !== 0 || peak === undefined) throw new Error(`the program ended with ${String(code)}: ${stderr}`);
  return Number(peak) * 1024;
}
