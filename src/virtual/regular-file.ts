import { constants, open } from "node:fs/promises";
import { DataError } from "../bytes/index.ts";

/**
 * All of a regular file. Anything else is refused: a device may have no end, and a FIFO keeps its reader waiting.
 * @param limit Bytes that it may have.
 * @param what The file, for the error.
 * @throws {DataError} if it is no regular file or longer than `limit`; whatever the file system throws.
 */
export async function readRegularFile(file: string, limit: number, what: string): Promise<Uint8Array> {
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    if (!(await handle.stat()).isFile()) throw new DataError(`${what}: not a regular file`);
    // The size that the file system tells is not relied on: the file may grow, and those of /proc have none.
    const bytes = new Uint8Array(limit + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      ({ bytesRead: read } = await handle.read(bytes, length));
    }
    if (length > limit) throw new DataError(`${what}: too many bytes, ${limit} at most`);
    return bytes.subarray(0, length);
  } finally {
    await handle.close();
  }
}
