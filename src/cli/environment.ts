import type { Readable, Writable } from "node:stream";

/** A stream that may be a terminal. */
type Input = Readable & { readonly isTTY?: boolean };
export type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number };

/** What a run of the program gets from outside: tests give their own. */
export interface Environment {
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts when the user interrupts the program, or nobody reads its output any more. */
  readonly signal: AbortSignal;
}
