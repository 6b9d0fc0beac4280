/** Calls of {@link inThreadPool} that are under way. */
let running = 0;

/**
 * The outcome of `work`, which Node does in a thread of its own and cannot take back, such as making a key. While it lasts,
 * {@link threadPoolIsBusy} says so.
 */
export async function inThreadPool<T>(work: Promise<T>): Promise<T> {
  running++;
  try {
    return await work;
  } finally {
    running--;
  }
}

/** Whether such work is under way: process.exit() would wait for it. */
export function threadPoolIsBusy(): boolean {
  return running > 0;
}
