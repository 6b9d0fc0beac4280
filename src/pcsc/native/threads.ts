/** The number of threads that Node has for work like reading files, unless the environment says another one. */
const DEFAULT_POOL = 4;

/** Threads of the pool that may be busy with calls to the card at one time. */
function threadsForCalls(poolSize: number): number {
  return Math.max(1, poolSize - 2);
}

/**
 * Who may use Node's thread pool. koffi runs a call in a thread of it, and such a call can take as long as a card or another program
 * likes; with all threads waiting, the process could not read a file. So at most two calls less than the pool has threads run at once:
 * one thread is for the call that waits for changes of the readers, and one stays free. Calls beyond this number wait in their order.
 */
export class ThreadBudget {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  /** Whether a call may wait for changes in a thread of its own: not if that would take the last one. */
  readonly mayWait: boolean;

  /** @param poolSize Number of threads in the pool. */
  constructor(poolSize: number = poolSizeOf(process.env["UV_THREADPOOL_SIZE"])) {
    this.#limit = threadsForCalls(poolSize);
    this.mayWait = poolSize > this.#limit + 1;
  }

  /** Number of calls that run. */
  get running(): number {
    return this.#running;
  }

  /** Runs a call as soon as there is a thread for it. */
  async run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#running < this.#limit) this.#running++;
    // The call that ends hands on its place.
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await call();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }
}

/** As libuv reads it: 1 to 1,024. */
function poolSizeOf(setting: string | undefined): number {
  const size = Number.parseInt(setting ?? "", 10);
  return Number.isNaN(size) ? DEFAULT_POOL : Math.min(Math.max(size, 1), 1024);
}
