import { accessSync, constants, statfsSync } from "node:fs";
import { tmpdir } from "node:os";

/** Linux keeps what is in this folder in memory. */
const SHARED_MEMORY = "/dev/shm";
/** Bytes that must be free there. The cards of a suite take far less. */
const WANTED = 0x0200_0000;

/**
 * Where a test puts cards: in memory where that is possible, otherwise in the folder for temporary files. A virtual card waits at each
 * change until it is on the disk, which takes longer than all the rest of a command.
 */
export function memoryFolder(): string {
  try {
    accessSync(SHARED_MEMORY, constants.W_OK);
    const { bavail, bsize } = statfsSync(SHARED_MEMORY);
    return bavail * bsize >= WANTED ? SHARED_MEMORY : tmpdir();
  } catch {
    return tmpdir();
  }
}
