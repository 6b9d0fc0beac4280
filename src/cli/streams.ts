import { constants, createReadStream, createWriteStream, fstatSync, open } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { isatty, ReadStream, WriteStream } from "node:tty";
import { promisify } from "node:util";
import { pause } from "../async/index.ts";

/*
 * Files are opened so that no thread of libuv's pool waits for another program. process.exit() waits for those threads, so a FIFO
 * without a writer, opened the usual way, keeps the program running after every signal.
 */

/** A terminal that is opened must not become the controlling one. */
const FLAGS = constants.O_NONBLOCK | constants.O_NOCTTY;
/** Milliseconds between two looks whether a program reads from a FIFO. The system has no event for it. */
const LOOK_AGAIN = 20;

const openFile: (path: string, flags: number, mode?: number) => Promise<number> = promisify(open);

/** Opens a file, FIFO or device for reading; `chunk` as of {@link inputOf}. @throws whatever the file system throws. */
export async function openInput(path: string, chunk?: number): Promise<Readable> {
  return inputOf(await openFile(path, constants.O_RDONLY | FLAGS), chunk);
}

/**
 * Reads from a descriptor that is open, and closes it at the end.
 * @param chunk The most bytes of one read from a file. Default: 64 KiB.
 * @throws whatever the file system throws.
 */
export function inputOf(fd: number, chunk?: number): Readable {
  if (isatty(fd)) return new ReadStream(fd);
  const stats = fstatSync(fd);
  if (stats.isFIFO() || stats.isSocket()) return new Socket({ fd, readable: true, writable: false });
  return createReadStream("", { fd, ...(chunk !== undefined && { highWaterMark: chunk }) });
}

/**
 * Opens a new file for writing, or empties an old one. Waits until a program reads from a FIFO, or `signal` aborts.
 * @throws whatever the file system throws; the signal's reason.
 */
export async function openOutput(path: string, mode: number, signal?: AbortSignal): Promise<Writable> {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | FLAGS;
  for (;;) {
    try {
      return outputOf(await openFile(path, flags, mode));
    } catch (error) {
      // Without O_NONBLOCK the open would wait here (fifo(7)).
      if (!(error instanceof Error && "code" in error && error.code === "ENXIO")) throw error;
    }
    await pause(LOOK_AGAIN, signal);
  }
}

function outputOf(fd: number): Writable {
  if (isatty(fd)) return new WriteStream(fd);
  if (fstatSync(fd).isFIFO()) return new Socket({ fd, readable: false, writable: true });
  return createWriteStream("", { fd });
}
