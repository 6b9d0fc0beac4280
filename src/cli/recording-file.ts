import type { Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { FOR, writeFailure } from "./files.ts";
import { openOutput } from "./streams.ts";

/** A file that a recording is written to. */
export interface RecordingFile extends AsyncDisposable {
  readonly sink: (line: string) => void;
}

/**
 * A new file for a recording, over an old one; readable by its owner only, as it tells what is on a card.
 * @throws {FileError} if it cannot be written; the signal's reason.
 */
export async function createRecording(path: string, signal: AbortSignal): Promise<RecordingFile> {
  let stream: Writable;
  try {
    stream = await openOutput(path, FOR.USER, signal);
  } catch (cause) {
    signal.throwIfAborted();
    throw writeFailure(path, cause);
  }
  const written = finished(stream);
  written.catch(() => undefined);
  return {
    sink: (line) => void stream.write(line),
    [Symbol.asyncDispose]: async (): Promise<void> => {
      stream.end();
      await written.catch((cause: unknown) => {
        throw writeFailure(path, cause);
      });
    },
  };
}
