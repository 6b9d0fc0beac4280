import { spawn } from "node:child_process";

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** Added to this process's environment; `undefined` takes a variable away. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  /** Milliseconds until the program is killed and the call fails; default: 60,000. */
  readonly timeout?: number;
}

export interface RunResult {
  /** Exit code; null when a signal ended the program. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output as it came. */
  readonly bytes: Uint8Array;
}

/** Runs a program to its end. An exit code other than 0 is a result, not an error; a program that hangs is an error. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { timeout = 60_000 } = options;
  const child = spawn(program, args, { cwd: options.cwd, env: { ...process.env, ...options.env } });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  // A program that ends without reading its input breaks the pipe, which is its right.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input);
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, timeout);
    child.on("error", reject);
    child.on("close", (code) => {
      clearTimeout(timer);
      const bytes = Buffer.concat(stdout);
      const result = { code, stdout: bytes.toString(), stderr: Buffer.concat(stderr).toString(), bytes };
      if (late) {
        reject(
          new Error(`${program} ${args.join(" ")} still ran after ${timeout} ms:\n${result.stdout}${result.stderr}`),
        );
      } else resolve(result);
    });
  });
}
