import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { finished } from "node:stream/promises";
import { writeFailure } from "./files.ts";

/** A file that a recording is written to. */
export interface RecordingFile extends AsyncDisposable {
  readonly sink: (line: string) => void;
}

/**
 * A new file for a recording, over an old one; readable by its owner only, as it tells what is on a card.
 * @throws {FileError} if it cannot be written.
 */
export async function createRecording(path: string): Promise<RecordingFile> {
  const stream = createWriteStream(path, { mode: 0o600 });
  try {
    await once(stream, "open");
  } catch (cause) {
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
